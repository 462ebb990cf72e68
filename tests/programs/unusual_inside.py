# Run by unusual.py in a sub-interpreter.
before = rss()  # noqa: F821
kept, at = bytearray(SIZE), stack()  # noqa: F821  # mark: block
after = rss()  # noqa: F821
few = [object() if number else stack() for number in range(SIZE // 24)]  # noqa: F821  # mark: objects
figures = [("block", after - before, at), ("objects", rss() - after, few[0])]  # noqa: F821
