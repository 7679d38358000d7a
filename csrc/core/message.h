// message.h: one form for every error: "<function>: <argument> must <constraint>; got <value>. <remedy>".
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "latom/context.h"

namespace latom {

/// Becomes Python's ValueError.
template <class Value>
[[noreturn]] void fail(const Context& ctx, const std::string& constraint, const Value& got, const std::string& remedy) {
    std::ostringstream text;
    text << ctx.function << ": " << constraint << "; got " << got << ". " << remedy;
    throw std::invalid_argument(text.str());
}

}  // namespace latom
