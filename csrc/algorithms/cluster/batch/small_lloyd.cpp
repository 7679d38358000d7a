// small_lloyd.cpp: the steps.
#include "algorithms/cluster/batch/small_lloyd.h"

namespace latom {

template <class T>
void SmallLloyd<T>::take(const KernelTable* kernels, const T* rows, const double* norm2, const double* weights,
                         const int32_t* fixed, int64_t n, int64_t d, int64_t m, Metric metric, bool use_pairs) {
    kernels_ = kernels;
    rows_ = rows;
    norm2_ = norm2;
    weights_ = weights;
    fixed_ = fixed;
    n_ = n;
    d_ = d;
    m_ = m;
    metric_ = metric;
    use_pairs_ = use_pairs;
    const auto count = static_cast<std::size_t>(n), clusters = static_cast<std::size_t>(m);
    if (use_pairs) pairs_.make(kernels, rows, norm2, n, d);
    double largest = 0, heaviest = 0;
    factor_.resize(count);
    for (int64_t i = 0; i < n; ++i) {
        const double w = weight(i), length = std::sqrt(norm2[i]);
        heaviest = std::max(heaviest, w);
        largest = std::max(largest, metric == Metric::kCosine ? w : w * length);
        factor_[i] = metric == Metric::kCosine ? (norm2[i] > 0 ? w / length : 0.0) : w;
    }
    largest_ = largest > 0 ? largest : 1.0;
    grid_ = BinGrid(largest_);
    weight_grid_ = BinGrid(heaviest > 0 ? heaviest : 1.0);
    label_.assign(count, 0);
    own_.assign(count, 0.0);
    by_label_.resize(count);
    centers_.assign(clusters * static_cast<std::size_t>(d), T{0});
    center2_.assign(clusters, 0.0);
    size_.assign(clusters, 0);
    length_.assign(clusters, 0.0);
    mass_.assign(clusters, 0.0);
    error_.assign(clusters, 0.0);
    roundings_.assign(clusters, 1);
    length_of_.resize(count);
    for (int64_t i = 0; i < n; ++i) length_of_[i] = std::sqrt(norm2[i]);
    dot_.resize(clusters * static_cast<std::size_t>(n));
    value_.resize(static_cast<std::size_t>(d));
    next_.resize(static_cast<std::size_t>(d));
    sum_.resize(static_cast<std::size_t>(grid_.levels() * d));
    moved_.assign(clusters, 1);
    summed_.assign(count, -1);
    assigned_ = false;
}

template <class T>
void SmallLloyd<T>::forget() {
    std::fill(label_.begin(), label_.end(), 0);
    std::fill(summed_.begin(), summed_.end(), -1);
    std::fill(size_.begin(), size_.end(), 0);
    assigned_ = false;
}

// Whether center j has a length to be scaled by.
template <class T>
bool SmallLloyd<T>::scale(int64_t j) {
    if (metric_ != Metric::kCosine || !(center2_[j] > 0)) return false;
    const double inverse = 1 / std::sqrt(center2_[j]);
    for (int64_t t = 0; t < d_; ++t) center(j)[t] = static_cast<T>(center(j)[t] * inverse);
    center2_[j] = self_dot(j);
    length_[j] /= inverse;
    return true;
}

template <class T>
void SmallLloyd<T>::set_center(int64_t j, const T* from) {
    std::copy_n(from, d_, center(j));
    center2_[j] = self_dot(j);
    length_[j] = 0;
    moved_[j] = 1;
    scale(j);
}

template <class T>
void SmallLloyd<T>::set_centers(const T* centers) {
    for (int64_t j = 0; j < m_; ++j) set_center(j, centers + j * d_);
}

template <class T>
void SmallLloyd<T>::scale_means() {
    for (int64_t j = 0; j < m_; ++j)
        if (scale(j)) ++roundings_[j];
}

template <class T>
void SmallLloyd<T>::set_means(const int32_t* labels) {
    std::copy_n(labels, n_, label_.begin());
    sort_by_label();
    for (int64_t j = 0; j < m_; ++j) replace(j, sum_cluster(j), false);
}

template <class T>
void SmallLloyd<T>::sort_by_label() {
    begin_.assign(static_cast<std::size_t>(m_) + 1, 0);
    for (const int32_t label : label_)
        if (label >= 0) ++begin_[label + 1];
    std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
    for (int64_t j = 0; j < m_; ++j) size_[j] = begin_[j + 1] - begin_[j];
    std::vector<int64_t>& next = begin_;  // moved up, and then back
    for (int64_t i = 0; i < n_; ++i)
        if (label_[i] >= 0) by_label_[next[label_[i]]++] = i;
    for (int64_t j = m_; j > 0; --j) begin_[j] = begin_[j - 1];
    begin_[0] = 0;
}

// Each empty cluster, in order, takes the row with the highest cost among clusters with more than one row.
template <class T>
void SmallLloyd<T>::relocate() {
    std::vector<int32_t> empty;
    for (int64_t j = 0; j < m_; ++j)
        if (size_[j] == 0) empty.push_back(static_cast<int32_t>(j));
    if (empty.empty()) return;
    std::vector<int64_t> donors;
    for (int64_t i = 0; i < n_; ++i)
        if (misfits(i)) donors.push_back(i);
    std::stable_sort(donors.begin(), donors.end(),
                     [&](int64_t a, int64_t b) { return weight(a) * cost(a) > weight(b) * cost(b); });
    std::size_t filled = 0;
    for (const int64_t i : donors) {
        if (filled == empty.size()) break;
        if (size_[label_[i]] < 2) continue;
        --size_[label_[i]];
        label_[i] = empty[filled++];
    }
    sort_by_label();
}

// s_j into value_; returns W_j.
template <class T>
double SmallLloyd<T>::sum_cluster(int64_t j) {
    std::fill(sum_.begin(), sum_.end(), 0);
    std::int64_t total[BinGrid::kMostLevels] = {};
    x_.clear();
    out_.clear();
    mass_[j] = 0;
    for (int64_t r = begin_[j]; r < begin_[j + 1]; ++r) {
        const int64_t i = by_label_[r];
        weight_grid_.add(weight(i), total);
        if (weight(i) == 0 || !(norm2_[i] > 0)) continue;
        x_.push_back(row(i));
        out_.push_back(factor_[i]);
        mass_[j] += factor_[i] * length_of_[i];
    }
    kernels_->of<T>().add_binned(x_.data(), out_.data(), static_cast<int64_t>(x_.size()), d_, grid_.magic(),
                                 grid_.levels(), sum_.data());
    if (d_ > 1) {
        kernels_->binned_values(sum_.data(), d_, d_, grid_.unit(), grid_.levels(), value_.data());
    } else {
        value_[0] = grid_.value(sum_.data());
    }
    return weight_grid_.value(total);
}

template <class T>
double SmallLloyd<T>::replace(int64_t j, double total, bool measure) {
    double length = total;
    if (metric_ == Metric::kCosine) length = std::sqrt(kernels_->f64.dense_dot(value_.data(), value_.data(), d_));
    if (!(length > (metric_ == Metric::kCosine ? 1e-12 * total : 0.0))) return 0;  // it keeps its center
    for (int64_t t = 0; t < d_; ++t) next_[t] = static_cast<T>(value_[t] / length);
    if (std::equal(next_.begin(), next_.end(), center(j))) return 0;
    const double old2 = center2_[j];
    double shift = 0;
    const double now2 = kernels_->of<T>().dense_dot(next_.data(), next_.data(), d_);
    if (measure) {
        double dot = 0;
        for (int64_t t = 0; t < d_; ++t) dot += static_cast<double>(center(j)[t]) * static_cast<double>(next_[t]);
        shift = std::max(std::max(0.0, old2 + now2 - 2 * dot), 1e-300);
    }
    std::copy(next_.begin(), next_.end(), center(j));
    center2_[j] = now2;
    length_[j] = length;
    roundings_[j] = 1;
    moved_[j] = 1;
    return shift;
}

template <class T>
double SmallLloyd<T>::update(bool measure) {
    sort_by_label();
    relocate();
    std::vector<char> changed(static_cast<std::size_t>(m_), 0);
    for (int64_t i = 0; i < n_; ++i) {
        if (label_[i] == summed_[i]) continue;
        changed[label_[i]] = 1;
        if (summed_[i] >= 0) changed[summed_[i]] = 1;
    }
    double shift = 0;
    for (int64_t j = 0; j < m_; ++j) {
        if (!changed[j]) continue;
        const double total = sum_cluster(j);
        shift += replace(j, total, measure);
    }
    summed_ = label_;
    return shift;
}

template <class T>
void SmallLloyd<T>::estimate(int64_t j) {
    double* out = dot_.data() + j * n_;
    std::fill_n(out, n_, 0.0);
    for (int64_t r = begin_[j]; r < begin_[j + 1]; ++r) {
        const int64_t l = by_label_[r];
        const double factor = factor_[l] * length_of_[l];
        const float* cosine = pairs_.row(l);
        for (int64_t i = 0; i < n_; ++i) out[i] += factor * static_cast<double>(cosine[i]);
    }
    const double inverse = 1 / length_[j];
    for (int64_t i = 0; i < n_; ++i) out[i] *= length_of_[i] * inverse;
    constexpr double kHalfUnit = 0.505 * std::numeric_limits<T>::epsilon();
    const double of_pairs = pairs_.error() + static_cast<double>(d_ + n_) * std::numeric_limits<double>::epsilon();
    error_[j] =
        roundings_[j] * kHalfUnit * std::sqrt(center2_[j]) +
        (of_pairs * mass_[j] + std::sqrt(static_cast<double>(d_)) * static_cast<double>(n_) * 0x1p-56 * largest_) *
            inverse * (1 + 1e-15);
}

template <class T>
void SmallLloyd<T>::score_exactly(int64_t j) {
    x_.resize(static_cast<std::size_t>(n_));
    for (int64_t i = 0; i < n_; ++i) x_[i] = row(i);
    y_.assign(static_cast<std::size_t>(n_), center(j));
    kernels_->of<T>().dense_dots(x_.data(), y_.data(), n_, d_, dot_.data() + j * n_);
    error_[j] = 0;
}

// The labels of the last update are those that by_label_ and begin_ hold, and the sums are of.
template <class T>
void SmallLloyd<T>::score_moved() {
    rule_.clear();
    for (int64_t j = 0; j < m_; ++j) rule_.add(metric_, center2_[j]);
    for (int64_t j = 0; j < m_; ++j) {
        if (!moved_[j]) continue;
        if (use_pairs_ && length_[j] > 0) estimate(j);
        else score_exactly(j);
        moved_[j] = 0;
    }
}

// For each row what its best score is sure to reach, and which centers may reach it.
template <class T>
void SmallLloyd<T>::measure_reach() {
    const auto count = static_cast<std::size_t>(n_), clusters = static_cast<std::size_t>(m_);
    scale_.assign(clusters, 1.0);
    bias_.assign(clusters, 0.0);
    slope_.assign(clusters, 0.0);
    base_.assign(clusters, 0.0);
    bar_.assign(count, -HUGE_VAL);
    hopeful_.assign(count, 0);
    last_.assign(count, 0);
    for (int64_t j = 0; j < m_; ++j) {
        if (!rule_.factor.empty()) scale_[j] = rule_.factor[j];
        if (!rule_.bias.empty()) bias_[j] = rule_.bias[j];
        if (error_[j] > 0) {  // and rounding of the score itself: a few units of its terms
            slope_[j] = (error_[j] + 1e-15 * std::sqrt(center2_[j])) * scale_[j];
            base_[j] = 1e-15 * std::abs(bias_[j]);
        }
        const double *dot = dot_.data() + j * n_, *length = length_of_.data();
        const double scale = scale_[j], bias = bias_[j], slope = slope_[j], base = base_[j];
        double* bar = bar_.data();
        for (int64_t i = 0; i < n_; ++i) {
            const double v = dot[i] * scale + bias - (length[i] * slope + base);
            bar[i] = bar[i] < v ? v : bar[i];
        }
    }
    for (int64_t j = 0; j < m_; ++j) {
        const double* dot = dot_.data() + j * n_;
        for (int64_t i = 0; i < n_; ++i)
            if (dot[i] * scale_[j] + bias_[j] + (length_of_[i] * slope_[j] + base_[j]) >= bar_[i]) {
                ++hopeful_[i];
                last_[i] = static_cast<int32_t>(j);
            }
    }
}

template <class T>
int32_t SmallLloyd<T>::decide(int64_t i) const {
    if (hopeful_[i] == 1) return last_[i];
    double best = -HUGE_VAL;
    int32_t label = 0;
    for (int64_t j = 0; j <= last_[i]; ++j) {
        const double dot = dot_[j * n_ + i];
        if (!(dot * scale_[j] + bias_[j] + (length_of_[i] * slope_[j] + base_[j]) >= bar_[i])) continue;
        const double v = rule_(error_[j] == 0 ? dot : kernels_->of<T>().dense_dot(row(i), center(j), d_), j);
        if (v > best) {
            best = v;
            label = static_cast<int32_t>(j);
        }
    }
    return label;
}

template <class T>
int64_t SmallLloyd<T>::assign() {
    before_ = label_;
    score_moved();
    measure_reach();
    const int32_t zero_label = rule_.zero_label();
    int64_t changed = 0;
    for (int64_t i = 0; i < n_; ++i) {
        if (is_fixed(i)) label_[i] = fixed_[i];
        else label_[i] = norm2_[i] > 0 ? decide(i) : zero_label;
        changed += !assigned_ || label_[i] != before_[i];
    }
    assigned_ = true;
    score_own();
    return changed;
}

template <class T>
void SmallLloyd<T>::score_own() {
    rule_.clear();
    for (int64_t j = 0; j < m_; ++j) rule_.add(metric_, center2_[j]);
    const auto count = static_cast<std::size_t>(n_);
    x_.resize(count);
    y_.resize(count);
    out_.resize(count);
    for (int64_t i = 0; i < n_; ++i) {
        x_[i] = row(i);
        y_[i] = center(label_[i]);
    }
    kernels_->of<T>().dense_dots(x_.data(), y_.data(), n_, d_, out_.data());
    for (int64_t i = 0; i < n_; ++i) own_[i] = rule_(norm2_[i] > 0 ? out_[i] : 0.0, label_[i]);
}

// In blocks, as Lloyd sums it.
template <class T>
double SmallLloyd<T>::objective() const {
    constexpr int64_t kRows = 4096;
    double total = 0;
    for (int64_t from = 0; from < n_; from += kRows) {
        double sum = 0;
        for (int64_t i = from; i < std::min(n_, from + kRows); ++i) sum += weight(i) * cost(i);
        total += sum;
    }
    return total;
}

template class SmallLloyd<float>;
template class SmallLloyd<double>;

}  // namespace latom
