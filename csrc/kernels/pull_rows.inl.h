// pull_rows.inl.h: one step of gradient descent on products of a row with rows at given indices.
//
//   total[c] = sum_p pull[p] * F[index[p]][c]      each row as it is when its turn comes
//   F[index[p]] <- keep * F[index[p]] + pull[p] * x
//   x <- keep * x + total                          at last, so that every row saw x as it was
//
// Shapes    index, pull [count]; x [width], F of rows `width` apart, x not among them; width whole lines of 64 bytes.
//           An index that occurs twice is moved twice.
// Numerics  in float32, p by p; products are rounded before they are added. Same bits in every variant.
// Cost      4 width flops per term; each row is read and written once, one line of columns at a time.

void pull_rows(const std::int32_t* index, const float* pull, std::int64_t count, float keep, float* x, float* F,
               std::int64_t width) {
    for (std::int64_t c = 0; c < width; c += f32x16::kCount) {
        const f32x16 before = line_at(x + c);
        f32x16 total = {};
        for (std::int64_t p = 0; p < count; ++p) {
            float* row = F + static_cast<std::int64_t>(index[p]) * width + c;
            const f32x16 old = line_at(row), share = old * pull[p], kept = old * keep, moved = before * pull[p];
            total = total + share;
            line_to(row, kept + moved);
        }
        const f32x16 kept = before * keep;
        line_to(x + c, kept + total);
    }
}
