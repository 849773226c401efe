"""Pipeline files: YAML of every FastTrack generation in and out, checked and compiled.

The road in is `source` (text to a tree with places) → `dialects` (any generation to the newest) → `intake` (types) →
`document` → `compile` (meaning). The road out is `export`. `placeholders` and `params` serve the moment a task starts.
"""

from .compile import compile_document
from .dialects import GENERATIONS, Generation
from .document import Document
from .editors import json_schema
from .export import canonical_hash, document_json, to_yaml
from .intake import Loaded, document_from_json, load, load_pipeline
from .overrides import apply_overrides, override_task, read_overrides
from .params import bind_params
from .placeholders import fill_task, secret_names
from .renaming import renamed, renamed_in_place, require_name

__all__ = [
    "GENERATIONS",
    "Document",
    "Generation",
    "Loaded",
    "apply_overrides",
    "bind_params",
    "canonical_hash",
    "compile_document",
    "document_from_json",
    "document_json",
    "fill_task",
    "json_schema",
    "load",
    "load_pipeline",
    "override_task",
    "read_overrides",
    "renamed",
    "renamed_in_place",
    "require_name",
    "secret_names",
    "to_yaml",
]
