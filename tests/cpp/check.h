// check.h: what these tests need of a test framework.
//
//   TEST(name) { CHECK(x > 0); CHECK_EQUAL(x, 3); CHECK_THROWS(f(), std::runtime_error, "words in its message"); }
//
// A failed check prints its place and the notes in force (NOTE("threads " << t) { ... }), and the test goes on.
#pragma once

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace check {

struct Test {
    const char* name;
    void (*body)();
};

inline std::vector<Test>& tests() {
    static std::vector<Test> all;
    return all;
}

inline std::vector<std::string>& notes() {
    static std::vector<std::string> stack;
    return stack;
}

inline long& failures() {
    static long count = 0;
    return count;
}

inline bool report(bool ok, const char* file, int line, const std::string& what) {
    if (ok) return true;
    if (++failures() <= 20) {
        std::cerr << file << ":" << line << ": failed: " << what << "\n";
        for (const auto& note : notes()) std::cerr << "    with " << note << "\n";
    }
    return false;
}

template <class A, class B>
bool equal(const A& a, const B& b, const char* file, int line, const char* text) {
    if (a == b) return true;
    std::ostringstream what;
    what << text;
    if constexpr (requires { what << a << b; }) what << "; got " << a << " and " << b;
    return report(false, file, line, what.str());
}

struct Note {
    explicit Note(const std::string& text) { notes().push_back(text); }
    ~Note() { notes().pop_back(); }
    Note(const Note&) = delete;
};

struct Register {
    Register(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

inline std::string text(const std::ostream& stream) { return static_cast<const std::ostringstream&>(stream).str(); }

}  // namespace check

#define TEST(name)                                                    \
    static void test_##name();                                        \
    static const check::Register register_##name(#name, test_##name); \
    static void test_##name()
#define NOTE(stream) if (const check::Note note_{check::text(std::ostringstream() << stream)}; true)
#define CHECK(...) check::report(static_cast<bool>(__VA_ARGS__), __FILE__, __LINE__, #__VA_ARGS__)
#define CHECK_EQUAL(a, b) check::equal((a), (b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_THROWS(expression, Error, words)                                              \
    do {                                                                                    \
        bool thrown = false;                                                                \
        try {                                                                               \
            static_cast<void>(expression);                                                  \
        } catch (const Error& error) {                                                      \
            thrown = std::string(error.what()).find(words) != std::string::npos;            \
            check::report(thrown, __FILE__, __LINE__,                                       \
                          std::string("the message has '") + words + "': " + error.what()); \
            thrown = true;                                                                  \
        }                                                                                   \
        check::report(thrown, __FILE__, __LINE__, #expression " throws " #Error);           \
    } while (false)
