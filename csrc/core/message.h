// message.h: one form for every error: "<function>: <argument> must <constraint>; got <value>. <remedy>".
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace latom {

/// Becomes Python's ValueError.
template <class Value>
[[noreturn]] void fail(const std::string& function, const std::string& constraint, const Value& got,
                       const std::string& remedy) {
    std::ostringstream text;
    text << function << ": " << constraint << "; got " << got << ". " << remedy;
    throw std::invalid_argument(text.str());
}

}  // namespace latom
