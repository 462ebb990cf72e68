"""Lives for as many milliseconds as its argument says."""

import sys
import time

sys.stdout.write("ready\n")
sys.stdout.flush()
time.sleep(int(sys.argv[1]) / 1000)
