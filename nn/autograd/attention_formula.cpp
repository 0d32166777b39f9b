#include "nn/autograd/attention_formula.h"

#include <string>

namespace {

// Parts of formulas. They name: s a segment, row a row of q, head a query head; a, b, c are q, k, v. K is a key, counted in its segment.
struct Parts {
    AttendFormulas kind;

    std::string score(const std::string& K) const {
        const std::string product =
            "scale * sum(d, h, a(row, head * h + d) * b(first_key(s) + " + K + ", floor(head / shared) * h + d))";
        const std::string bias_row = kind.own_bias ? "first_weight(s) + head * queries(s)" : "head * most_queries";
        return product + (kind.biased ? " + input(3, " + bias_row + " + row - first_query(s), " + K + ")" : "");
    }
    // `inside`, or 0 where the query may not attend to the key.
    std::string where_allowed(const std::string& K, const std::string& inside) const {
        return kind.masked ? "if(may(row * most_keys + " + K + "), " + inside + ", 0)" : inside;
    }
    std::string weight(const std::string& K) const { return "exp(" + score(K) + ") / total"; }
    static std::string dA(const std::string& K) {
        return "sum(d, hv, dy(row, head * hv + d) * c(first_key(s) + " + K + ", floor(head / shared) * hv + d))";
    }
    std::string with_total(const std::string& inside) const {
        return "let(total, sum(l, keys(s), " + where_allowed("l", "exp(" + score("l") + ")") + "), " + inside + ")";
    }
    // ds of a key, times `factor`.
    std::string with_ds(const std::string& K, const std::string& factor) const {
        return where_allowed(K, weight(K) + " * (" + dA(K) + " - mean)" + factor);
    }
    std::string with_mean(const std::string& inside) const {
        const std::string mean = "sum(l, keys(s), " + where_allowed("l", weight("l") + " * " + dA("l")) + ")";
        return with_total("let(mean, " + mean + ", " + inside + ")");
    }
    // `inside` for the row and the head that element (i, j) of q or of the context belongs to.
    static std::string for_query(const std::string& width, const std::string& inside) {
        return "let(s, segment(i), let(row, i, let(head, floor(j / " + width + "), " + inside + ")))";
    }
    // The sum over all queries and heads that read element (i, j) of k or v.
    static std::string over_queries(const std::string& width, const std::string& inside) {
        return "sum(s, segments, if((first_key(s) <= i) * (i < first_key(s) + keys(s)), sum(n, shared, let(head, floor(j / " +
               width + ") * shared + n, sum(r, queries(s), let(row, first_query(s) + r, " + inside + ")))), 0))";
    }

    std::string value() const {
        const std::string v = "c(first_key(s) + k, floor(head / shared) * hv + mod(j, hv))";
        return for_query("hv", with_total("sum(k, keys(s), " + where_allowed("k", weight("k") + " * " + v) + ")"));
    }
    std::string of_query() const {
        const std::string k = " * scale * b(first_key(s) + k, floor(head / shared) * h + mod(j, h))";
        return for_query("h", with_mean("sum(k, keys(s), " + with_ds("k", k) + ")"));
    }
    std::string of_key() const {
        return over_queries("h", with_mean(with_ds("(i - first_key(s))", " * scale * a(row, head * h + mod(j, h))")));
    }
    std::string of_value() const {
        const std::string K = "(i - first_key(s))";
        return over_queries("hv", with_total(where_allowed(K, weight(K) + " * dy(row, head * hv + mod(j, hv))")));
    }
    std::string of_bias() const {
        const std::string first = kind.own_bias ? "first_weight(s)" : "0", height = kind.own_bias ? "queries(s)" : "most_queries";
        const std::string inside = "(" + first + " <= i) * (i < " + first + " + heads * " + height + ") * (j < keys(s))";
        const std::string query = "mod(i - " + first + ", " + height + ")";
        return "sum(s, segments, if(" + inside + ", let(head, floor((i - " + first + ") / " + height + "), if(" + query +
               " < queries(s), let(row, first_query(s) + " + query + ", " + with_mean(with_ds("j", "")) + "), 0)), 0))";
    }
};

}  // namespace

Explained AttendFormulas::explained() const {
    const Parts parts{*this};
    return {.value = parts.value(),
            .gradients = {parts.of_query(), parts.of_key(), parts.of_value(), biased ? parts.of_bias() : ""}};
}
