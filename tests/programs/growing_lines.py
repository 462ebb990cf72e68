# Not run as it stands: line.py puts these lines into each context (module, function, coroutine,
# generator, code made by compile) and runs them there. `pause` becomes what the context suspends
# with. Kinds that leave free memory behind (str, dict) come last, so that no kind grows into it.
before = rss()
buffer = bytearray(SIZE)  # mark: bytearray
grew("bytearray", before, SIZE)
pause
private = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
before = rss()
for offset in range(0, SIZE, PAGE): private[offset] = 1  # mark: mmap_private
grew("mmap_private", before, SIZE)
pause
shared = mmap.mmap(-1, SIZE)
before = rss()
for offset in range(0, SIZE, PAGE): shared[offset] = 1  # mark: mmap_shared
grew("mmap_shared", before, SIZE)
pause
fresh = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
before = rss()
count = zeros.readinto(fresh)  # mark: readinto
grew("readinto", before, SIZE)
assert count == SIZE
pause
if numpy is not None:
    array = numpy.empty(SIZE, dtype=numpy.uint8)
    before = rss()
    array.fill(1)  # mark: numpy
    grew("numpy", before, SIZE)
    keep(array)
pause
items = []
before = rss()
for _ in range(SIZE // 24): items.append(object())  # mark: list
grew("list", before)
pause
text = chunk = "x" * (SIZE // 16)
before = rss()
for _ in range(16): text += chunk  # mark: str
grew("str", before)
pause
table = {}
before = rss()
for key in range(300000): table[key] = key  # mark: dict
grew("dict", before)
keep(buffer, private, shared, fresh, items, text, table)
