// main.cpp: runs every test, or those whose name holds the first argument; the exit status says whether all passed.
#include <chrono>
#include <cstring>
#include <exception>

#include "check.h"

int main(int argc, char** argv) {
    long ran = 0;
    for (const check::Test& test : check::tests()) {
        if (argc > 1 && !std::strstr(test.name, argv[1])) continue;
        ++ran;
        const long before = check::failures();
        const auto start = std::chrono::steady_clock::now();
        try {
            test.body();
        } catch (const std::exception& error) {
            check::report(false, test.name, 0, std::string("unexpected exception: ") + error.what());
        }
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        std::cout << (check::failures() == before ? "ok     " : "FAILED ") << test.name << " (" << seconds.count()
                  << " s)" << std::endl;
    }
    std::cout << ran << " tests, " << check::failures() << " failed checks" << std::endl;
    return ran == 0 || check::failures() > 0;
}
