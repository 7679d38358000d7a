// train.h: the steps that train k-sparse autoencoders on the rows of a batch. Codes in, gradients or new weights out.
//
//   x'_i = b + sum_p value_p W_dec[index_p]           the reconstruction of row i from its code
//   r_i = x'_i - x_i                                  its residual: the gradient of |r_i|^2 / 2 by x'_i
//   s_p = c <r_i, W_dec[index_p]> [value_p != 0]      the slope of c |r_i|^2 / 2 by the pre-activation at p
//
// Gradients exist at the places of codes alone: nothing of n x m is ever made, and of m x d only rows of latents that
// fired are touched. The same bits for every number of threads and every kernel variant: a latent's entries are summed
// in the order of rows by the one thread that owns the latent.
// The sources are Gao et al. 2024 ("Scaling and evaluating sparse autoencoders"), Wen et al. 2025 ("Beyond
// Matryoshka").
#pragma once

#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// out [nnz] = scale <rows_i, W[index_p]> for the entries p of row i; 0 where value_p is 0, unless values is null.
/// float64 sums in the order of kernels/dot.inl.h, rounded to T at the end. Cost: 2 nnz d flops.
template <class T>
void products_at(const Context& ctx, const Codes<T, int32_t>& codes, const T* rows, const DenseView<T>& W, double scale,
                 T* out);

/// Residuals [n, d], slopes [nnz], and the squared length of each residual [n], while the rows of W_dec are hot.
/// X is the target [n, d]; bias [d] may be null; the indices must lie within the latents. Cost: 4 nnz d flops.
template <class T>
void reconstruct(const Context& ctx, const Codes<T, int32_t>& codes, const T* X, const DenseView<T>& W_dec,
                 const T* bias, double scale, T* residual, T* slope, double* squared);

/// out [m, d] = sum over entries p at latent j of value_p rows[i(p)], in the order of rows: codes^T rows.
/// Runs of 256 entries are summed apart, then in their order. Cost: 2 nnz d flops, and a counting sort.
template <class T>
void gather_by_latent(const Context& ctx, const Codes<T, int32_t>& codes, const DenseView<T>& rows, int64_t m, T* out);

/// The contrast of codes [n, m] among themselves, at temperature t, with e_ij = e^{(cos(z_i, z_j) - 1) / t}:
///
///   L = 1/n sum_i log( sum_j e_ij / sum_{p alike i} e_ip )
///
/// Alike are rows of one label; a row is alike itself, and nothing else where label [n] is null: then the divisor is 1.
/// Adds weight dL/dvalue to slope [nnz] and returns L. Rows without entries are left out of the sums; n counts them.
/// float64. Cost: two passes over pairs of entries that share a latent, n^2 exponentials; memory O(nnz + threads n).
template <class T>
double contrast(const Context& ctx, const Codes<T, int32_t>& codes, const int32_t* label, int64_t m, double temperature,
                double weight, T* slope);

/// One code of the batch's rows with what it adds to the loss: the gradient of W_dec by scale * value * residual, that
/// of W_enc by slope * row.
template <class T>
struct CodeGradient {
    Codes<T, int32_t> codes;
    const T* slope;     // [nnz]
    const T* residual;  // [n, d]
    double scale;
};

/// A parameter [m, d] or [m] with its moments; null where there is none.
template <class T>
struct Parameter {
    T *value = nullptr, *first = nullptr, *second = nullptr;
};

/// Latents in training. Where `decoder` is null the encoder's rows decode (tied weights).
template <class T>
struct Latents {
    int64_t m = 0, d = 0;
    Parameter<T> encoder, decoder, bias;
    int64_t* last = nullptr;  // [m]: the step that last changed a latent
};

/// Adam (Kingma & Ba 2015) as torch computes it.
struct Adam {
    double rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 6.25e-10;
    int64_t step = 1;  // 1 for the first
    /// Latents without entries keep their weights; their moments fade when they next have some. False: dense Adam.
    bool lazy = false;
    /// The decoder's rows stay at length 1: the gradient along a row is left out, and the row scaled after the step.
    bool unit_norm = false;
};

/// A step for all latents. X [n, d] are the rows that were encoded, less the bias before the encoder.
/// bias_gradient [d] receives sum_j dL/db_j W_enc[j], of the weights before the step.
/// Cost: 2 nnz d flops for each of the two gradients; 24 bytes of weights and moments for each parameter of a latent
/// that moves (T = float). Memory: 12 bytes per entry, a row of m / 64, and rows per thread; where X takes more than
/// 16 MB, gradients of 4 MB each per thread.
template <class T>
void train_latents(const Context& ctx, const std::vector<CodeGradient<T>>& parts, const DenseView<T>& X,
                   const Latents<T>& latents, const Adam& adam, double* bias_gradient);

}  // namespace latom
