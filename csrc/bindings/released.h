// released.h: how a call gives up the interpreter's lock for its work, and takes it back.
//
// When the interpreter ends, it ends each thread that asks for its lock, by an exception that no frame may catch
// (before Python 3.14, which lets it sleep). A call of ours may be below: its helpers still work, and destructors may
// not throw. So such a thread sleeps here until the process has ended.
#pragma once

#include <Python.h>
#include <pthread.h>
#include <unistd.h>

#include "core/float_mode.h"

namespace latom {

namespace detail {
// A frame of its own: the end of a thread is noticed in it, before a destructor that calls it is.
template <class Take>
__attribute__((noinline)) void take_or_sleep(Take take) {
    pthread_cleanup_push(
        [](void*) {
            for (;;) pause();
        },
        nullptr);
    take();
    pthread_cleanup_pop(0);
}
}  // namespace detail

/// While it lives the interpreter's lock is released, and arithmetic is as latom wants it.
class Released {
public:
    Released() : state_(PyEval_SaveThread()) {}
    ~Released() {
        detail::take_or_sleep([this] { PyEval_RestoreThread(state_); });
    }
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;

private:
    PyThreadState* state_;
    FloatMode mode_;
};

/// Within a Released: the lock, to call Python with.
class Retaken {
public:
    Retaken() {
        detail::take_or_sleep([this] { state_ = PyGILState_Ensure(); });
    }
    ~Retaken() { PyGILState_Release(state_); }
    Retaken(const Retaken&) = delete;
    Retaken& operator=(const Retaken&) = delete;

private:
    PyGILState_STATE state_;
    FloatMode mode_;  // a signal handler may leave another
};

}  // namespace latom
