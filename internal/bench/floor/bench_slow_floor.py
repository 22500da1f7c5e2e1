"""What bench_slow imports, without an adapter: half a second of processor time."""

import time

began = time.process_time()
while time.process_time() - began < 0.5:
    pass
