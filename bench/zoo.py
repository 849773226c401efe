"""Hostile requests: small as text, large as work. Each has the code that it is refused with (reliability.md, S21 to S28)."""

from __future__ import annotations

DEEP_FIELDS = '{ project(name: "default") ' + "{ pipelines { nodes { project " * 6 + "{ name }" + "} } } " * 6 + "}"
ALIASES = "{" + " ".join(f"a{n}: viewer {{ name }}" for n in range(200)) + "}"
SAME = "{ viewer {" + " name" * 900 + "} }"
DOUBLING = (
    "{ ...f0 } "
    + " ".join(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(14))
    + " fragment f14 on Query { viewer { name } }"
)
CHAIN = "{ viewer { ...f0 } } " + " ".join(f"fragment f{n} on Viewer {{ ...f{n + 1} }}" for n in range(200))
DEEP_FRAGMENTS = (
    '{ project(name: "default") { ...f0 } } '
    + " ".join(
        f"fragment f{n} on Project {{ pipelines {{ nodes {{ project {{ ...f{n + 1} }} }} }} }}" for n in range(8)
    )
    + " fragment f8 on Project { name }"
)
INLINE = "{ viewer " + "{ ... on Viewer " * 100 + "{ name }" + "}" * 100 + "}"
NESTED_PAGES = (
    """{ projects(first: 100) { nodes { pipelines(first: 100) { nodes { jobs(first: 100) { nodes { id } } } } } } }"""
)

REFUSED: dict[str, tuple[str, str]] = {
    "S21 10,000 aliases": ("{" + " ".join(f"a{n}: viewer {{ name }}" for n in range(10_000)) + "}", "GRAPHQL_INVALID"),
    "S21 200 aliases": (ALIASES, "QUERY_TOO_WIDE"),
    "S22 the same field a thousand times": (SAME, "QUERY_TOO_WIDE"),
    "S23 fragments that double": (DOUBLING, "QUERY_TOO_WIDE"),
    "S23 fragments in a long chain": (CHAIN, "QUERY_TOO_WIDE"),
    "S23 a fragment that contains itself": ("{ ...f } fragment f on Query { viewer { name } ...f }", "QUERY_TOO_DEEP"),
    "S24 deep by fields": (DEEP_FIELDS, "QUERY_TOO_DEEP"),
    "S24 deep by fragments": (DEEP_FRAGMENTS, "QUERY_TOO_DEEP"),
    "S24 deep by inline fragments": (INLINE, "QUERY_TOO_DEEP"),
    "S24 depth 2,000": ("{a" * 2000 + "}" * 2000, "GRAPHQL_INVALID"),
    "S24 depth 600": ("{a" * 600 + "}" * 600, "GRAPHQL_INVALID"),
    "S24 depth 150": ("{a" * 150 + "}" * 150, "QUERY_TOO_DEEP"),
    "S24 a deep value": ("{ nodes(ids: " + "[" * 30 + "]" * 30 + ") { id } }", "QUERY_TOO_DEEP"),
    "S25 a huge page": ("{ projects(first: 1000000000) { nodes { id } } }", "PAGE_SIZE"),
    "S25 a page beyond numbers": ("{ projects(first: 99999999999999999999999) { nodes { id } } }", "PAGE_SIZE"),
    "S25 a negative page": ("{ projects(last: -1) { nodes { id } } }", "PAGE_SIZE"),
    "S25 pages in pages": (NESTED_PAGES, "QUERY_TOO_EXPENSIVE"),
    "S27 5,000 directives": ("{ viewer " + "@a " * 5000 + "{ name } }", "GRAPHQL_INVALID"),
    "S27 900 directives": ("{ viewer " + "@a " * 900 + "{ name } }", "GRAPHQL_INVALID"),
    "21 fields at the top": ("{" + " ".join(f"a{n}: viewer {{ name }}" for n in range(21)) + "}", "QUERY_TOO_WIDE"),
    "no GraphQL at all": ("\x01\x02 DROP TABLE job", "GRAPHQL_INVALID"),
    "an unknown field": ("{ nothing }", "GRAPHQL_INVALID"),
    "introspection without an end": (
        "{ __schema " + "{ types { fields { type " * 6 + "{ name }" + " } } }" * 6 + " }",
        "QUERY_TOO_DEEP",
    ),
}
