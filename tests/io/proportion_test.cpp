// Small files that would fill the machine: every reader stays in proportion to the bytes it is
// given. What is counted is memory asked for, at a time and all together: the second is what
// copying costs.
#include "../support/allocations.hpp"
#include "../support/errors.hpp"
#include "temp_folder.hpp"
#include "torch_bytes.hpp"

#include <hlip/io/csv.hpp>
#include <hlip/io/npz.hpp>
#include <hlip/io/weights_file.hpp>

#include <doctest/doctest.h>

#include <zlib.h>

using namespace hlip;
using namespace test::torch;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

struct Reading {
  std::string fault;
  double peak = 0, total = 0;  // for each byte of the input, a megabyte aside
};
template <class Read> Reading reading(const std::string& input, Read read) {
  Reading out;
  const auto cost = test::allocations_of([&] { out.fault = test::error_of([&] { read(input); }); });
  const auto each = [&](std::size_t bytes) {
    return bytes < 1'000'000
               ? 0
               : static_cast<double>(bytes - 1'000'000) / static_cast<double>(input.size());
  };
  out.peak = each(cost.peak), out.total = each(cost.total);
  return out;
}
Reading reading_pickle(const std::string& ops) {
  return reading(checkpoint("\x80\x02" + ops),
                 [](const std::string& file) { TorchFile(bytes_of(file), "x.pt"); });
}
bool says(const std::string& message, std::string_view part) {
  if (message.find(part) != std::string::npos) return true;
  MESSAGE(message);
  return false;
}
std::string times(int n, const std::string& text) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}
std::string with_length(const std::string& header) { return number(header.size(), 8) + header; }

const std::string put0("q\0", 2), get0("h\0", 2), put1("q\1", 2), get1("h\1", 2);
const std::string long_text = text(std::string(100'000, 'k'));

}  // namespace

TEST_CASE(
    "proportion: one list made into many OrderedDicts is refused, lists that are used once are "
    "read") {
  const std::string ordered = name("collections", "OrderedDict") + put0 + "0";
  const auto many = reading_pickle(ordered + "](" + times(10'000, "NN\x86") + "e" + put1 + "0(" +
                                   times(10'000, get0 + get1 + "\x85R0") + "t.");
  CHECK(says(many.fault, "lists are used many times over"));
  CHECK(many.peak < 150);
  CHECK(many.total < 300);
  CHECK(reading_pickle(ordered + "(" +
                       times(1000, get0 + "]K\1K\2\x86"
                                          "a\x85R") +
                       "t.")
            .fault == "no error");
}

TEST_CASE("proportion: a long key above many values is not joined for each of them") {
  const std::string leaves = "](" + times(1000, "N") + "e";
  const auto once = reading_pickle("}(" + long_text + leaves + "u.");
  CHECK(once.fault == "no error");
  CHECK(once.total < 10);
  const auto shared = reading_pickle(leaves + put0 + "0}(" + long_text + "](" + times(1400, get0) +
                                     "eu.");
  CHECK(says(shared.fault, "unfolds into more than"));
  CHECK(shared.total < 10);
  CHECK(says(
      reading_pickle("}(" + long_text + tensor(storage("0", 6), 0, {2, 3}, {3, 1}) + "u.").fault,
      "is no name for a tensor"));
}

TEST_CASE(
    "proportion: one tensor under many names, short or long, is refused; tensors of their own are "
    "read") {
  const std::string w = tensor(storage("0", 6), 0, {2, 3}, {3, 1});
  const auto list = reading_pickle(w + put0 + "0](" + times(50'000, get0) + "e.");
  CHECK(says(list.fault,
             "unfolds into more than 7"));  // a tensor for each sixteen bytes, and a thousand
  CHECK(list.peak < 100);
  const auto below = reading_pickle(w + put0 + "0}(" + text(std::string(4000, 'k')) + "](" +
                                    times(4000, get0) + "eu.");
  CHECK(says(below.fault, "the names of its tensors unfold into more than"));
  CHECK(below.peak < 50);
  std::string own;
  for (int i = 0; i < 2000; ++i)
    own += text(fmt::format("state_dict.visual.trunk.blocks.{}.attn.qkv.weight", i)) + w;
  const auto read = reading_pickle("}(" + own + "u.");
  CHECK(read.fault == "no error");
  CHECK(read.peak < 40);
}

TEST_CASE("proportion: one text under many keys is refused, and one key above many texts") {
  std::string keys;
  for (int i = 0; i < 500; ++i) keys += text(fmt::format("{}", i)) + get0;
  const auto texts = reading_pickle(long_text + put0 + "0}(" + keys + "u.");
  CHECK(says(texts.fault, "beside its tensors unfold into more than"));
  CHECK(texts.total < 20);
  const auto same = reading_pickle(long_text + put0 + "0}(" + times(500, get0 + "K\1") + "u.");
  CHECK(says(same.fault, "beside its tensors unfold into more than"));
  CHECK(same.total < 20);
}

TEST_CASE(
    "proportion: a storage has a short key, and a value for each byte of a pickle takes a hundred "
    "bytes") {
  const std::string id = "(" + text("storage") + name("torch", "FloatStorage") + long_text +
                         text("cpu") + "K\1t" + put0 + "0";
  const auto keys = reading_pickle(id + "](" + times(5000, get0 + "Q") + "e.");
  CHECK(says(keys.fault, "a storage is called \"kkk"));
  CHECK(keys.total < 30);
  const auto deep = reading_pickle("N" + std::string(200'000, '\x85') + ".");
  CHECK(says(deep.fault, "nested deeper"));
  CHECK(deep.peak < 130);
  CHECK(reading_pickle(std::string(200'000, ']') + ".").peak < 130);
  const auto file_name = reading(
      zip({{std::string(5000, 'k') + "/data.pkl", "N."}}),
      [](const std::string& file) { TorchFile(bytes_of(file), "x.pt"); });
  CHECK(says(file_name.fault, "a file name has 5009 bytes, expected 4096 at most"));
}

TEST_CASE(
    "proportion: a safetensors header of many entries takes a few times its bytes, and one entry "
    "cannot be large") {
  const auto read = [](const std::string& file) {
    SafetensorsFile(bytes_of(file), "x.safetensors");
  };
  std::string entries;
  for (int i = 0; i < 50'000; ++i)
    entries += fmt::format("{}\"{}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
                           i == 0 ? "{" : ",", i);
  const auto many = reading(with_length(entries + "}"), read);
  CHECK(many.fault == "no error");
  CHECK(many.peak < 8);
  const auto shape = reading(with_length(R"({"w":{"dtype":"F32","shape":[0)" +
                                         times(1'000'000, ",0") + R"(],"data_offsets":[0,0]}})"),
                             read);
  CHECK(says(shape.fault, "one member holds more than 100000 values"));
  CHECK(shape.peak < 4);
  std::string metadata;
  for (int i = 0; i < 200'000; ++i)
    metadata += fmt::format("{}\"{}\":\"\"", i == 0 ? "{\"__metadata__\":{" : ",", i);
  const auto texts = reading(with_length(metadata + "}}"), read);
  CHECK(says(texts.fault, "one member holds more than 100000 values"));
  CHECK(texts.peak < 12);
  const auto word = reading(with_length(R"({"w":{"dtype":"F32","shape":[")" +
                                        std::string(100'000, 'x') + R"("],"data_offsets":[0,0]}})"),
                            read);
  CHECK(says(word.fault, "shape holds \"xxx"));
  CHECK(word.fault.size() < 200);
  CHECK(says(reading(with_length("{\"" + std::string(5000, 'k') +
                                 R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})"),
                     read)
                 .fault,
             "is no name for a tensor: it has 5000 bytes"));
}

TEST_CASE(
    "proportion: an archive that claims more than its array needs is refused after the header") {
  const std::string header = "{'descr': '|i1', 'fortran_order': False, 'shape': (1, 1), }\n";
  const std::string array = std::string("\x93NUMPY\1\0", 8) + number(header.size(), 2) + header,
                    lies = array + std::string(50'000'000, '\0');
  std::string packed(compressBound(lies.size()), '\0');
  z_stream z{};
  deflateInit2(&z, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(lies.data())),
  z.avail_in = static_cast<uInt>(lies.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data()),
  z.avail_out = static_cast<uInt>(packed.size());
  deflate(&z, Z_FINISH);
  packed.resize(z.total_out);
  deflateEnd(&z);
  const auto archive = [&](std::size_t claimed) {
    const std::string sizes = number(crc32_of(bytes_of(lies)), 4) + number(packed.size(), 4) +
                              number(claimed, 4) + number(6, 2);
    const std::string local = "PK\3\4" + number(20, 4) + number(8, 2) + number(0, 4) + sizes +
                              number(0, 2) + "ct.npy" + packed;
    const std::string directory = "PK\1\2" + number(0, 6) + number(8, 2) + number(0, 4) + sizes +
                                  number(0, 12) + number(0, 4) + "ct.npy";
    return local + directory + "PK\5\6" + number(0, 4) + number(1, 2) + number(1, 2) +
           number(directory.size(), 4) + number(local.size(), 4) + number(0, 2);
  };
  TempFolder folder;
  const auto cost = [&](std::size_t claimed) {
    atomic_write(folder / "a.npz", archive(claimed));
    return reading(archive(claimed), [&](const std::string&) { read_npz(folder / "a.npz", "ct"); });
  };
  const auto all = cost(lies.size()), one = cost(array.size() + 1);
  CHECK(
      says(all.fault, "array \"ct\": holds 50000000 bytes of values, shape (1, 1) of |i1 needs 1"));
  CHECK(all.peak == 0);
  CHECK(says(one.fault, fmt::format("holds more than the {} bytes it declares", array.size() + 1)));
  CHECK(one.peak == 0);
}

TEST_CASE("proportion: a table of empty fields takes twelve bytes for each") {
  const auto table = reading("a,b,c,d\n" + times(200'000, ",,,\n"), [](const std::string& text) {
    CHECK(parse_csv(text, "t.csv").rows() == 200'000);
  });
  CHECK(table.fault == "no error");
  CHECK(table.peak < 16);
}
