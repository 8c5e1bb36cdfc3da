#include "../support/errors.hpp"
#include "temp_folder.hpp"
#include "torch_bytes.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/io/weights_file.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using namespace test::torch;

namespace {

const std::string interop = HLIP_SOURCE_DIR "/tests/golden/interop/";

TorchFile open(const std::string& bytes, TorchLimits limits = {}) {
  return TorchFile(std::as_bytes(std::span(bytes)), "x.pt", limits);
}
std::string fault(const std::string& bytes, TorchLimits limits = {}) {
  return test::error_of([&] { open(bytes, limits); });
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// Every tensor of `got` is the one of that name in expected.safetensors.
void check_same(const TensorFile& got, const std::string& prefix, std::size_t count) {
  const SafetensorsFile want(interop + "expected.safetensors");
  std::size_t seen = 0;
  for (const auto& name : got.names()) {
    if (!name.starts_with(prefix)) continue;
    const std::string key = name.substr(prefix.size());
    CAPTURE(name);
    REQUIRE(want.contains(key));
    CHECK(got.info(name).dtype == want.info(key).dtype);
    CHECK(got.info(name).shape == want.info(key).shape);
    CHECK(got.values<double>(name) == want.values<double>(key));
    ++seen;
  }
  CHECK(seen == count);
}

}  // namespace

TEST_CASE("torch_file: every element type, views, strides and shared storages of a plain dict") {
  check_same(TorchFile(interop + "plain.pt"), "", 16);
}

TEST_CASE(
    "torch_file: a checkpoint of a run keeps the keys that lead to its tensors, and its numbers") {
  const TorchFile file(interop + "nested.pt");
  check_same(file, "state_dict.module.", 16);
  CHECK(file.metadata("epoch") == "7");
  CHECK(file.metadata("name") == "run");
}

TEST_CASE("torch_file: parameters in an ordered dict") {
  const TorchFile file(interop + "ordered.pt");
  CHECK(file.values<float>("p_a_weight") ==
        SafetensorsFile(interop + "expected.safetensors").values<float>("a.weight"));
}

TEST_CASE("torch_file: the format before PyTorch 1.6") {
  check_same(TorchFile(interop + "legacy.pt"), "", 16);
  const std::string old = read_file(interop + "legacy.pt");
  // its first pickle in a newer protocol, which has frames
  check_same(open("\x80\x04\x95" + number(13, 8) + old.substr(2)), "", 16);
}

TEST_CASE(
    "torch_file: mapped tensors are the bytes of the file, unless another tensor lies in them or "
    "they are strided") {
  const TorchFile file(interop + "plain.pt", {}, MapAccess::copy_on_write);
  CHECK(static_cast<const void*>(file.mapped<float>("a.weight").data()) ==
        file.info("a.weight").bytes.data());
  for (const char* name : {"shared", "view", "transposed"}) {
    CHECK(file.info(name).shared);
    CHECK(file.mapped<float>(name).to_vector() == file.values<float>(name));
    CHECK(static_cast<const void*>(file.mapped<float>(name).data()) !=
          file.info(name).bytes.data());
  }
}

TEST_CASE("torch_file: every bad file of the fixtures is refused, with the place and the fault") {
  const auto message = [](const std::string& file) {
    return test::error_of([&] { TorchFile{interop + file}; });
  };
  CHECK(has(message("bad_missing_storage.pt"),
            "bad_missing_storage.pt: plain/data/0: is not in the archive"));
  CHECK(has(message("bad_short_storage.pt"),
            "plain/data/0: has 44 bytes, 12 elements of type F32 take 48"));
  CHECK(has(message("bad_truncated_pickle.pt"), "plain/data.pkl, byte 6"));
  CHECK(has(message("bad_truncated_zip.pt"), "is the file cut?"));
  CHECK(has(message("bad_not_a_checkpoint.pt"), "is no PyTorch checkpoint"));
  CHECK(has(message("bad_reduce.pt"), "bad_reduce/data.pkl, byte 169: names \"posix.system\""));
  CHECK_FALSE(is_file("hlip_pwned"));
}

TEST_CASE("torch_file: the format is found by the first bytes, not by the name") {
  TempFolder folder;
  atomic_write(folder / "weights.safetensors", read_file(interop + "plain.pt"));
  CHECK(open_weights(folder / "weights.safetensors").names().size() == 16);
  atomic_write(folder / "weights.bin", read_file(interop + "expected.safetensors"));
  CHECK(open_weights(folder / "weights.bin").names().size() == 16);
  atomic_write(folder / "page.pth", "<!DOCTYPE html><html>");
  CHECK(has(test::error_of([&] { open_weights(folder / "page.pth"); }), "this is a web page"));
}

TEST_CASE("torch_file: a tensor lies in its storage, whatever its strides say") {
  const std::string six = storage("0", 6);
  CHECK(open(checkpoint(dict(text("w") + tensor(six, 0, {2, 3}, {3, 1})))).info("w").row_major());
  CHECK(open(checkpoint(dict(text("w") + tensor(six, 1, {2, 2}, {0, 4}))))
            .values<float>("w")
            .size() == 4);
  CHECK(open(checkpoint(dict(text("w") + tensor(six, 9, {0, 3}, {3, 1})))).info("w").shape ==
        Shape{0, 3});
  CHECK(has(fault(checkpoint(dict(text("w") + tensor(six, 1, {2, 3}, {3, 1})))),
            "reaches beyond the 6 elements"));
  CHECK(has(fault(checkpoint(dict(text("w") + tensor(six, 0, {2, 3}, {0x7FFFFFFF, 0x7FFFFFFF})))),
            "reaches beyond"));
  CHECK(has(fault(checkpoint(dict(text("w") + tensor(six, 0, {2, 3}, {3, 0xFFFFFFFF})))),
            "stride holds something other than whole numbers"));
  CHECK(has(fault(checkpoint(dict(text("w") + tensor(six, 0, {0x7FFFFFFF, 0x7FFFFFFF}, {0, 0})))),
            "overflows"));
  CHECK(has(fault(checkpoint(dict(text("w") + tensor(six, 0, {0x10000, 0x10000}, {0, 0})))),
            "repeats the 6 elements"));
  CHECK(has(fault(checkpoint(dict(text("w") + tensor(storage("0", 5), 0, {1, 1}, {1, 1})))),
            "has 24 bytes, 5 elements of type F32 take 20"));
  CHECK(has(fault(checkpoint(dict(text("a") + tensor(six, 0, {1, 1}, {1, 1}) + text("b") +
                                  tensor(storage("0", 3, "DoubleStorage"), 0, {1, 1}, {1, 1})))),
            "described in two ways"));
  CHECK(has(fault(checkpoint(dict(
                text("w") + tensor(storage("0", 6, "ComplexFloatStorage"), 0, {1, 1}, {1, 1})))),
            "names \"torch.ComplexFloatStorage\""));
}

TEST_CASE("torch_file: a small pickle that unfolds into a large tree, or into itself, is refused") {
  std::string doubling = "\x80\x02]q" + number(0, 1);
  for (int i = 1; i < 30; ++i)
    doubling += "0](h" + number(static_cast<std::uint64_t>(i - 1), 1) + "h" +
                number(static_cast<std::uint64_t>(i - 1), 1) + "eq" +
                number(static_cast<std::uint64_t>(i), 1);
  CHECK(has(fault(checkpoint(doubling + ".")), "unfolds into more than 10"));
  CHECK(
      has(fault(checkpoint(std::string("\x80\x02]q\0h\0a.", 9))), "nested deeper than 32 levels"));
  CHECK(has(fault(checkpoint("\x80\x02" + std::string(50, ']') + std::string(49, 'a') + ".")),
            "nested deeper"));
  TorchLimits few;
  few.pickle.max_values = 100;
  CHECK(has(fault(checkpoint("\x80\x02(" + std::string(200, ']') + "t."), few),
            "has more than 100 values"));
}

TEST_CASE("torch_file: broken pickles end with the byte and the fault") {
  const auto pickle = [](const std::string& ops) { return fault(checkpoint("\x80\x02" + ops)); };
  CHECK(has(pickle("."), "byte 2: ends with 0 values on the stack"));
  CHECK(has(pickle("R."), "takes 2 values from a stack of 0"));
  CHECK(has(pickle("]]u."), "there is none"));
  CHECK(has(pickle("](NR."), "takes 2 values from a stack of 1"));
  CHECK(has(pickle("NNa."), "adds to what is no list"));
  CHECK(has(pickle("}(Nu."), "expected pairs"));
  CHECK(has(pickle("h\x05."), "does not exist"));
  CHECK(has(pickle(std::string("Nr\xFF\xFF\xFF\xFF.", 7)), "the limit is"));
  CHECK(has(pickle(std::string("X\xFF\xFF\xFF\xFFtext.", 10)), "the pickle ends in the middle"));
  CHECK(has(pickle("cos"), "ends in the middle"));
  CHECK(has(pickle("c" + std::string(400, 'a') + "\nx\n."), "longer than 256 bytes"));
  CHECK(has(pickle("I1\n."), "operation 0x49 has no place"));
  CHECK(has(pickle(text("posix") + text("system") + "\x93."), "names \"posix.system\""));
  CHECK(has(pickle("N" + name("collections", "OrderedDict") +
                   "N\x86"
                   "b."),
            "gives a state to what has none"));
  CHECK(has(pickle("N)R."), "calls what is no name"));
  CHECK(has(pickle(text("x") + "Q."), "no storage of a tensor"));
  CHECK(has(fault(checkpoint(std::string("\x80\x00N.", 4))), "protocol 0"));
  CHECK(has(fault(checkpoint(dict(text("w") + tensor(storage("0", 6), 0, {2, 3}, {3, 1}) +
                                  text("w") + tensor(storage("0", 6), 0, {2, 3}, {3, 1})))),
            "two tensors of this name"));
}

TEST_CASE("torch_file: broken archives end with the byte or the file and the fault") {
  const std::string good = checkpoint(dict(text("w") + tensor(storage("0", 6), 0, {2, 3}, {3, 1})));
  CHECK(fault(good) == "no error");
  const auto directory = good.find("PK\1\2");
  const auto with = [&](std::size_t at, const std::string& bytes) {
    return fault(std::string(good).replace(at, bytes.size(), bytes));
  };
  CHECK(has(with(directory + 8, number(1, 2)), "is encrypted"));
  CHECK(has(with(directory + 42, number(7, 4)), "where no file begins"));
  CHECK(has(with(directory + 20, number(7, 4)), "is stored, but takes 7 bytes"));
  CHECK(has(with(directory + 20, number(0x7000000, 4) + number(0x7000000, 4)),
            "reaches into the directory"));
  CHECK(has(with(good.size() - 12, number(500, 2)), "do not fit in a directory"));
  CHECK(has(with(good.size() - 12, number(2, 2)), "the directory says 2 files"));
  CHECK(has(with(good.size() - 6, number(0xFFFFFF, 4)), "reaches beyond byte"));
  CHECK(has(with(good.find("x/data.pkl"), "y"), "is called \"y/data.pkl\" here"));
  CHECK(has(fault(good + "x"), "no end-of-directory record"));
  CHECK(has(fault(zip({{"x/data.pkl", "N."}}, 8)), "is compressed (method 8)"));
  CHECK(has(fault(zip({{"x/a", ""}, {"x/a", ""}})), "is in the archive twice"));
  CHECK(has(fault(zip({{"x/data.pkl", "N."}, {"y/data.pkl", "N."}})), "a second checkpoint"));
  CHECK(has(fault(zip({{"x/data.pkl", "N."}, {"x/byteorder", "big"}})), "expected little"));
  CHECK(has(fault(zip({{"x/data.pkl", "N."}, {"x/constants.pkl", "N."}})), "TorchScript"));
  CHECK(has(fault(zip({{"readme", ""}})), "no PyTorch checkpoint"));
}

TEST_CASE(
    "torch_file: a storage or a pickle whose bytes are not those that were put in is refused by "
    "its name") {
  const std::string good = checkpoint(dict(text("w") + tensor(storage("0", 6), 0, {2, 3}, {3, 1})));
  CHECK(fault(good) == "no error");
  TorchLimits unchecked;
  unchecked.check_crc = false;
  for (const std::string& file : {std::string("x/data/0"), std::string("x/byteorder")}) {
    CAPTURE(file);
    std::string spoilt = good;
    spoilt[spoilt.find(file) + file.size() + 1] ^= 1;
    CHECK(has(fault(spoilt), "x.pt: " + file + ": is damaged: its "));
    CHECK(!has(fault(spoilt, unchecked), "damaged"));
  }
  std::string without = good;  // as after torch.serialization.set_crc32_options(False)
  for (std::size_t at = 0; (at = without.find("PK\1\2", at)) != std::string::npos; ++at)
    without.replace(at + 16, 4, std::string(4, '\0'));
  without[without.find("x/data/0") + 8] ^= 1;
  CHECK(fault(without) == "no error");
}

TEST_CASE("torch_file: no cut of a file and no changed byte does worse than a message") {
  TorchLimits unchecked;
  unchecked.check_crc = false;
  for (const char* name : {"plain.pt", "legacy.pt"}) {
    const std::string good = read_file(interop + name);
    std::size_t refused = 0;
    for (std::size_t size = 0; size < good.size(); size += 7)
      refused += fault(good.substr(0, size)) != "no error";
    CHECK(refused == (good.size() + 6) / 7);
    std::string changed = good;
    for (std::size_t i = 0; i < good.size(); ++i) {
      for (const int bit : {1, 0x80, 0xFF}) {
        changed[i] = static_cast<char>(good[i] ^ bit);
        try {
          const TorchFile file = open(changed, unchecked);  // what the checksums would stop, too
          for (const auto& tensor : file.names())
            if (file.info(tensor).shape.numel() < 10000 && file.info(tensor).dtype != DType::BOOL)
              file.values<double>(tensor);
        } catch (const error&) {
          ++refused;
        }
      }
      changed[i] = good[i];
    }
    CHECK(refused > good.size() / 7);
  }
}
