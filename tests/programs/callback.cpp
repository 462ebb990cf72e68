// An extension module of pybind11: C++ between Python frames, in this thread and in one of its own.

#include <pybind11/pybind11.h>

#include <thread>

namespace py = pybind11;

// Calls `f` as C++ libraries call what they were given: through a copy, behind templates.
void call(py::function f) { f(); }

// The same in a thread that Python did not start, while the caller waits without the GIL.
void call_in_thread(py::function f) {
    py::gil_scoped_release released;
    std::thread([&f] {
        py::gil_scoped_acquire acquired;
        f();
    }).join();
}

PYBIND11_MODULE(callback, module) {
    module.def("call", &call);
    module.def("call_in_thread", &call_in_thread);
}
