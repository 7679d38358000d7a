// neighbors.h: the k best documents of each query, and all above a threshold, where documents or queries are sparse.
//
// Scores are those of encode.h: dot, cosine, or minus the squared distance. Exact: sets are those of float64 scores,
// highest first, ties to the lowest document; scores are rounded once, to T. A document that shares no term with a
// query scores 0 as a product, as it would if both were dense. The same bits for every number of threads, every kernel
// variant and every index width.
//
// The product of a query and a document is the sum over the document's stored entries in the order of
// kernels/dot.inl.h; over the query's where documents are dense.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "latom/encode.h"

namespace latom {

/// A query: its entries other than 0, columns rising, and its squared length.
template <class T>
struct QueryTerms {
    std::vector<int32_t> column;
    std::vector<T> value;
    double norm2 = 0;
};

/// Queries [n, d], whatever holds them: read(i, out) fetches one. Several threads call it at once.
template <class T>
struct QueryRows {
    int64_t n, d;
    std::function<void(int64_t i, QueryTerms<T>& out)> read;
};

/// Which documents may answer.
struct Eligible {
    const uint8_t* allowed = nullptr;  // [documents], 0: never; null: all
    const int64_t* without = nullptr;  // [queries], one document that each leaves out, or -1; null: none
};

struct SearchStats {
    int64_t postings = 0;   // entries of lists that were added up
    int64_t decided = 0;    // products decided in float64
    int64_t exhausted = 0;  // queries whose bar was too low for bounds: every document was looked at
    int64_t sifted = 0;     // queries that were answered together (engines/sparse_select/tile_screen.h)

    SearchStats& operator+=(const SearchStats& more) {
        postings += more.postings;
        decided += more.decided;
        exhausted += more.exhausted;
        sifted += more.sifted;
        return *this;
    }
};

/// Which bounds a search uses. No answer depends on it.
struct Bounds {
    bool prune = true;             // false: every document that shares a term is scored (for tests)
    int64_t together_from = 1024;  // queries with long lists are answered together if there are so many,
    int64_t tile_bytes = 7 << 17;  // by tiles of documents of so many bytes, which stay in the second cache
};

/// Documents [n, d], prepared once for any number of queries from any number of threads. The rows that it was made of
/// must outlive it.
template <class T>
class DocumentSearch {
public:
    using value_type = T;
    virtual ~DocumentSearch() = default;
    virtual int64_t n() const = 0;
    virtual int64_t d() const = 0;
    /// Bytes beside the rows themselves.
    virtual int64_t bytes() const = 0;
    /// The k best of those above `threshold` into score and index, [queries, k]; found [queries]: how many there are.
    /// Other places get index -1 and score minus infinity.
    virtual SearchStats topk(const Context& ctx, const QueryRows<T>& queries, int64_t k, double threshold,
                             const Eligible& eligible, const Bounds& bounds, T* score, int32_t* index,
                             int64_t* found) const = 0;
    /// All documents above each query's threshold, by rising document.
    virtual Matches<T> above(const Context& ctx, const QueryRows<T>& queries, const Thresholds& thresholds,
                             const Eligible& eligible, const Bounds& bounds) const = 0;
};

/// CSR documents: an inverted index (engines/sparse_select/document_index.h), searched by
/// engines/sparse_select/seeker.h, or many queries at a time by engines/sparse_select/tile_screen.h. Memory: 8 bytes
/// per entry, 12 per column, 64 per document; while queries are answered, 4 n + d sizeof(T) per thread, and some 16 MB
/// for many.
template <class T, class I>
std::unique_ptr<DocumentSearch<T>> make_document_search(const Context& ctx, const Rows<CsrView<T, I>>& documents,
                                                        Similarity similarity);
/// Dense documents: scores of all of them in float64, in blocks. Cost: 2 nnz(queries) documents.
template <class T>
std::unique_ptr<DocumentSearch<T>> make_document_search(const Context& ctx, const Rows<DenseView<T>>& documents,
                                                        Similarity similarity);

}  // namespace latom
