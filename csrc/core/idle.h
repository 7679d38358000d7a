// idle.h: scratch memory that is kept from call to call. Fresh memory costs a fault per page, which for small calls is
// most of their time.
#pragma once

#include <memory>
#include <vector>

#include "core/turns.h"

namespace latom {

/// Threads may lend and take back at once.
template <class S>
class Idle {
public:
    using Lent = std::vector<std::unique_ptr<S>>;

    /// As many as asked for: those that are idle, as they were left, and new ones.
    Lent lend(std::size_t count) {
        Lent lent;
        lent.reserve(count);
        {
            const std::lock_guard<std::mutex> lock(brief_lock());
            for (; lent.size() < count && !idle_.empty(); idle_.pop_back()) lent.push_back(std::move(idle_.back()));
        }
        while (lent.size() < count) lent.push_back(std::make_unique<S>());
        return lent;
    }
    /// Keeps at most `most` in all.
    void take_back(Lent lent, std::size_t most) {
        const std::lock_guard<std::mutex> lock(brief_lock());
        for (; !lent.empty() && idle_.size() < most; lent.pop_back()) idle_.push_back(std::move(lent.back()));
    }

private:
    Lent idle_;
};

}  // namespace latom
