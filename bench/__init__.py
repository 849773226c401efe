"""How fast FastTrack is, beside the least that any orchestrator on the same database must do, in the same run.

    python -m bench [W1 W2 …] [--json FILE] [--markdown FILE] [--repeat N] [--backend NAME] [--profile FILE]

    __main__     the command line, and the order of a run
    workloads    one function per workload, and the table of them        <- a new workload goes here
    measures     what is measured: label, unit, target                   <- a new figure goes here
    floor        the least that must be done, raw asyncpg
    lists        W7: the list and job pages over many stored instances
    calls        W7 over HTTP
    api          W9: what requests cost the API, in its own process
    zoo          requests that are refused
    streams      W6 and W8 for those who follow over HTTP
    cluster      B1 to B3: many sessions on a cluster
    manager      the cluster: a stand-in for its manager, in its own process
    graphs       pipelines as text
    ground       servers, schema, the scheduler's process
    stage        what a workload does: publish, submit, wait, prove; and its meter
    meters       CPU and memory of processes
    board        counters that the scheduler's process shares with this one
    hosted       the scheduler's process: the `fasttrack` command, with counters
    sampling     where the scheduler's time goes
    subscriber   W6: the process that follows the feed
    report       the table, as text, JSON and Markdown

Nothing here is imported by the product.
"""
