"""Runs peers.py under tracemalloc, and writes what it holds by line: `peers_tracemalloc.py OUTPUT PROGRAM …`."""

import json
import runpy
import sys
import tracemalloc

output, program = sys.argv[1:3]
sys.argv = sys.argv[2:]
tracemalloc.start()
runpy.run_path(program, run_name="__main__")
statistics = tracemalloc.take_snapshot().statistics("lineno")
lines = {one.traceback[0].lineno: one.size for one in statistics
         if one.traceback[0].filename == program}
with open(output, "w") as file:
    json.dump({"lines": lines, "own": tracemalloc.get_tracemalloc_memory()}, file)
