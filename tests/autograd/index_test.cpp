#include "../support/gradients.hpp"

#include <hlip/autograd/functions/index.hpp>

using namespace test;

namespace {
using Ids = Tensor<std::int64_t, Cpu>;
}

TEST_CASE("index_select of Vars: rows named several times collect every gradient") {
  const Ids flat = Ids::from_values({5}, {2, 0, 2, 3, 2}),
            square_ids = Ids::from_values({2, 2}, {1, 1, 0, 3});
  for (const Ids& ids : {flat, square_ids}) {
    check_gradient("rows", [&](const std::vector<Variable>& v) { return index_select(v[0], ids); },
                   {numbers({4, 3}, 1)});
    check_gradient("blocks",
                   [&](const std::vector<Variable>& v) { return index_select(v[0], ids); },
                   {numbers({4, 2, 3}, 1)});
    check_gradient("numbers",
                   [&](const std::vector<Variable>& v) { return index_select(v[0], ids); },
                   {numbers({4}, 1)});
    check_gradient(
        "a transposed table",
        [&](const std::vector<Variable>& v) { return index_select(v[0], ids.transpose(0, -1)); },
        {numbers({3, 4}, 1).transpose(0, 1)});
  }
}

TEST_CASE("scatter_add of Vars: every row gets the gradient of the place it was added to") {
  const Ids ids = Ids::from_values({2, 2}, {1, 1, 0, 3});
  check_gradient(
      "rows",
      [&](const std::vector<Variable>& v) { return Variable(square(scatter_add(v[0], ids, 5))); },
      {numbers({2, 2, 3}, 1)});
  check_gradient(
      "a view",
      [&](const std::vector<Variable>& v) { return Variable(square(scatter_add(v[0], ids, 5))); },
      {numbers({3, 2, 2}, 1).permute({2, 1, 0})});
}

TEST_CASE("add_to_rows: the named rows get their share of the branch, the others keep their bits") {
  const Ids rows = Ids::from_values({3}, {4, 0, 2});
  const Array x = numbers({5, 2}, 1), branch = numbers({3, 2}, 2), factor = numbers({3, 1}, 3),
              out = Array::empty({5, 2});
  const Variable y = add_to_rows(Variable(x), rows, Variable(branch), factor, out);
  CHECK(y.value().data() == out.data());
  for (index_t r = 0; r < 5; ++r)
    for (index_t c = 0; c < 2; ++c) {
      const index_t at = r == 4 ? 0 : r == 0 ? 1 : r == 2 ? 2 : -1;
      CHECK(out.at({r, c}) ==
            (at < 0 ? x.at({r, c}) : x.at({r, c}) + branch.at({at, c}) * factor.at({at, 0})));
    }
  check_gradient("add to rows",
                 [&](const std::vector<Variable>& v) {
                   return add_to_rows(v[0], rows, v[1], factor, Array::empty({5, 2}));
                 },
                 {x, branch});
}

TEST_CASE("index_select of Vars: an index out of range names itself") {
  const Variable table(numbers({4, 3}, 1), true);
  CHECK_THROWS_AS(index_select(table, Ids::from_values({1}, {4})), error);
  CHECK_THROWS_AS(index_select(table, Ids::from_values({1}, {-1})), error);
}

TEST_CASE("index_select: its gradient is added to one that is there, rows picked twice included") {
  const Variable table(numbers({5, 3}, 71), true);
  const auto index = Tensor<std::int64_t>::from_values({3}, {4, 1, 4});
  const Array dy = numbers({3, 3}, 72), whole = numbers({5, 3}, 73);
  const Variable y = table * 2.0;  // not a leaf: its gradient comes from two sides
  const Variable seeds[] = {sum(Variable(y * Variable(whole))),
                            sum(Variable(index_select(y, index) * Variable(dy)))};
  Variable(seeds[0] + seeds[1]).backward();
  CHECK(largest_difference(table.grad(), (whole + scatter_add(dy, index, 5)) * 2.0) < 1e-14);
}

TEST_CASE("add_rows_at: in place, and what does not fit is named") {
  const Array table = numbers({4, 2}, 74), rows = numbers({2, 2}, 75);
  const auto index = Tensor<std::int64_t>::from_values({2}, {3, 3});
  const Array wanted = table + scatter_add(rows, index, 4);
  add_rows_at(rows, index, table);
  CHECK(largest_difference(table, wanted) == 0);
  CHECK(error_of([&] {
          add_rows_at(numbers({2, 3}, 1), index, table);
        }) == "scatter_add: rows is (2, 3) and the table (4, 2)");
  CHECK(error_of([&] {
          add_rows_at(rows, index, numbers({2, 4}, 1).transpose(0, 1));
        }) == "scatter_add: the table is (4, 2), expected rows that lie behind one another");
}
