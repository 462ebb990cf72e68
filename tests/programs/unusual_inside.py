# Run by unusual.py in a sub-interpreter.
before = rss()  # noqa: F821
kept = bytearray(SIZE)  # noqa: F821  # mark: block
after = rss()  # noqa: F821
few = [object() for _ in range(SIZE // 24)]  # noqa: F821  # mark: objects
block, objects = after - before, rss() - after  # noqa: F821
stack = callers()  # noqa: F821
