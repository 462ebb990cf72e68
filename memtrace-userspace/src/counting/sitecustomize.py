"""Counts how often each line runs, for `memtrace run --count-lines`.

memtrace puts this file into a folder of its own, first in PYTHONPATH, and Python's `site` imports it
before the program. It takes the folder out of sys.path and PYTHONPATH again, makes room for the
sitecustomize that would have been found without it, and counts by sys.monitoring (CPython 3.12). At
exit the counts go into the folder `counts` beside this file, one file a process. Any Python 3 must be
able to read this file, since it is also what tells that a Python is too old.
"""


def _begin(memtrace):
    import os
    import sys

    here = os.path.dirname(__file__)
    outcome = os.path.join(here, "counts")

    def put(name, text):
        # What can't be written is missing in the report, which says so.
        try:
            whole = os.path.join(outcome, name)
            with open(whole + ".part", "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
            os.rename(whole + ".part", whole)
        except Exception:
            pass

    # As it would be without memtrace.
    path = os.environ.get("PYTHONPATH", "")
    if path == here:
        del os.environ["PYTHONPATH"]
    elif path.startswith(here + os.pathsep):
        os.environ["PYTHONPATH"] = path[len(here) + 1:]
    sys.path[:] = [folder for folder in sys.path if folder != here]
    sys.path_importer_cache.pop(here, None)

    if sys.version_info < (3, 12):
        if os.getppid() == memtrace:
            put("refused", "%s\t%s" % (sys.version.split()[0], sys.executable))
            os._exit(2)
        return
    _count(here, put)


def _count(here, put):
    import atexit
    import os
    import sys
    from weakref import ref

    monitoring = sys.monitoring
    events, disable, local = monitoring.events, monitoring.DISABLE, monitoring.set_local_events
    tool = next((free for free in (4, 3) if monitoring.get_tool(free) is None), None)
    if tool is None:
        return
    monitoring.use_tool_id(tool, "memtrace --count-lines")

    # The interpreter's own library is not counted, what is installed into it is.
    folders = {sys._stdlib_dir, os.path.dirname(os.__file__)} - {None, ""}
    library = tuple(folder + os.sep for folder in folders)
    installed = tuple(folder + os.sep + name + os.sep
                      for folder in folders for name in ("site-packages", "dist-packages"))

    # By id of the code object: executions by line; under 0 the calls.
    tables = {}
    loops = {}  # of a code object: the lines of jumps back to the line that they are on
    alive = {}  # weak references, which tell when a code object dies and its id is free again
    totals = {}  # what dead code objects came to: by file, name, first line, last line
    written = False
    met = (None, None)  # the code object that ran last, and its table

    def is_ours(code):
        file = code.co_filename
        return (file.startswith("<frozen ") or file.startswith(here)
                or (file.startswith(library) and not file.startswith(installed)))

    def sum_up(key, table):
        sums = totals.setdefault(key, {})
        for number, count in list(table.items()):
            if count:
                sums[number] = sums.get(number, 0) + count

    def meet(code):
        lines = {number for _, _, number in code.co_lines() if number}
        fresh = dict.fromkeys(lines, 0)
        fresh[0] = 0
        # In this order, since another thread may meet it too: no line of it runs before all is there.
        local(tool, code, events.LINE | events.JUMP)
        table = tables.setdefault(id(code), fresh)
        if table is not fresh:
            return table
        first = code.co_firstlineno
        key = (code.co_filename, code.co_qualname, first, max(lines, default=first))

        def dead(_, number=id(code)):
            alive.pop(number, None)
            loops.pop(number, None)
            sum_up(key, tables.pop(number))

        alive[id(code)] = (ref(code, dead), key)
        return table

    def started(code, _):
        nonlocal met
        table = tables.get(id(code))
        if table is None:
            if is_ours(code):
                return disable
            table = meet(code)
        table[0] += 1
        met = (code, table)

    def ran(code, line):
        nonlocal met
        # A pair, so that a switch to another thread in between does no harm.
        known = met
        if known[0] is not code:
            known = met = (code, tables[id(code)])
        known[1][line] += 1

    def jumped(code, source, target):
        # A loop on one line comes to its line once, and then back to it without an event.
        line = loops.get(id(code), {}).get(source)
        if line is None:
            line = line_at(code, source)
            if target > source or line is None or line_at(code, target) != line:
                return disable
            loops.setdefault(id(code), {})[source] = line
        tables[id(code)][line] += 1

    def line_at(code, offset):
        found = (line for start, end, line in code.co_lines() if start <= offset < end)
        return next(found, None)

    def forked():
        nonlocal written
        written = False
        totals.clear()
        for table in tables.values():
            for number in table:
                table[number] = 0

    def escaped(text):
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")

    def write():
        nonlocal written
        if written:
            return
        written = True
        monitoring.set_events(tool, 0)
        for number, (_, key) in list(alive.items()):
            # Another thread's code may have died since.
            sum_up(key, tables.get(number, {}))
        rows = []
        for (file, name, first, last), sums in list(totals.items()):
            rows.append("F\t%d\t%d\t%d\t%s\t%s\n" % (
                first, last, sums.pop(0, 0), escaped(file), escaped(name)))
            rows.extend("L\t%d\t%d\n" % row for row in list(sums.items()))
        put("%d-%s" % (os.getpid(), os.urandom(4).hex()), "".join(rows) + "end\n")

    exit_at_once = os._exit

    def _exit(status):
        write()
        exit_at_once(status)

    atexit.register(write)
    os.register_at_fork(after_in_child=forked)
    os._exit = _exit  # how forked workers end
    monitoring.register_callback(tool, events.PY_START, started)
    monitoring.register_callback(tool, events.LINE, ran)
    monitoring.register_callback(tool, events.JUMP, jumped)
    monitoring.set_events(tool, events.PY_START)


def _make_room():
    import sys

    # The import system still holds this module's name: what is found now takes it over.
    del sys.modules[__name__]
    import sitecustomize


_begin(MEMTRACE)
_make_room()
