// atom.h: an atom while an algorithm runs, dense or as sorted columns, and scratch that holds one as a dense vector.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "latom/views.h"

namespace latom {

/// An atom as sorted columns with their values. Dense atoms are all columns; an atom is replaced as a whole.
template <class T>
struct Atom {
    std::vector<int32_t> column;  // empty for dense atoms
    std::vector<T> value;
    double norm2 = 0;
};

/// Dense vector [d] of T that loads a sparse atom, and forgets it at the cost of its entries.
template <class T>
class AtomScratch {
public:
    const T* load(const Atom<T>& atom, int64_t d) {
        if (atom.column.empty() && static_cast<int64_t>(atom.value.size()) == d) return atom.value.data();
        clear();
        if (static_cast<int64_t>(dense_.size()) != d) dense_.assign(static_cast<std::size_t>(d), T{0});
        for (std::size_t p = 0; p < atom.column.size(); ++p) dense_[atom.column[p]] = atom.value[p];
        loaded_ = &atom;
        return dense_.data();
    }
    void clear() {
        if (!loaded_) return;
        for (const int32_t t : loaded_->column) dense_[t] = T{0};
        loaded_ = nullptr;
    }

private:
    std::vector<T> dense_;
    const Atom<T>* loaded_ = nullptr;
};

}  // namespace latom
