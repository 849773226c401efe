import sys
from .world import World
from .postgres import Postgres
from .servers import databases
import time, structlog, logging

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
with databases(1) as urls:
    pg = Postgres(urls[0])
    a, b = int(sys.argv[1]), int(sys.argv[2])
    from collections import Counter

    seen = Counter()
    t0 = time.time()
    v = 0
    for seed in range(a, b):
        t = time.time()
        w = World(seed, pg, trace=len(sys.argv) > 3)
        w.run()
        v += w.elapsed()
        seen += w.watch.seen
        if w.watch.violations or len(sys.argv) > 3:
            print(
                seed,
                round(time.time() - t, 2),
                "s",
                round(w.elapsed()),
                "virtual",
                w.kills,
                "kills",
                w.history_hash(),
                len(w.cluster.ledger.sessions),
                "sessions",
            )
            print("   ", w.faults)
            for x in w.watch.violations[:4]:
                print("   VIOLATION", x)
            for l in w.lines:
                print(l)
    print(b - a, "seeds", round(time.time() - t0, 1), "s", round(v), "virtual")
    print(dict(seen))
    pg.close()
