// Modules are plain values. A module names its parameters and children in `visit`, exactly as the
// published checkpoints spell them, and everything else (state_dict, loading, freezing, optimiser
// groups) follows from that:
//
//   template <class V> void visit(V&& v) { v("qkv", qkv); v("proj", proj); }
//
// A copy of a module shares its parameters, as a copy of a Var does.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/core/random.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// What a forward pass needs to know beyond its input: the mode, and where its random numbers come
/// from. Every place that draws derives its own key with `child`, so that recomputing a block draws
/// the same numbers again.
struct Context {
  bool training = false;
  RandomKey key = {};
  /// The context of child number i.
  Context child(std::uint32_t i) const {
    return {training, key.with_stream(key.stream * 1000003u + i + 1)};
  }
};

namespace detail {
struct AnyVisitor {
  template <class X> void operator()(std::string_view, X&) const {}
};
}  // namespace detail

/// Something with named parameters.
template <class M>
concept Module = requires(M m, detail::AnyVisitor v) {
  m.visit(v);
};

namespace detail {

/// Appends the parameters below x to the list. (Compiled once for a type of module, whoever asks
/// for its parameters.)
template <class X, class List>
void collect_parameters(X& x, const std::string& prefix, List& list) {
  if constexpr (Module<X>) {
    x.visit([&](std::string_view name, auto& child) {
      collect_parameters(
          child, prefix.empty() ? std::string(name) : prefix + "." + std::string(name), list);
    });
  } else if constexpr (requires { x.begin(); }) {  // a list of modules: names are their numbers
    std::size_t i = 0;
    for (auto& child : x) collect_parameters(child, prefix + "." + std::to_string(i++), list);
  } else {
    // Those a configuration does without are empty
    if (x.numel() > 0) list.emplace_back(prefix, &x);
  }
}

}  // namespace detail

/// Names and Vars of all parameters and buffers, in the order of declaration, names joined by dots.
template <class M> auto named_parameters(M& module) {
  std::vector<std::pair<std::string, Var<typename M::value_type, typename M::backend>*>> list;
  detail::collect_parameters(module, "", list);
  return list;
}

/// Calls fn(name, Var&) for every parameter and buffer, in that order.
template <class M, class Fn> void each_parameter(M& module, Fn&& fn) {
  for (const auto& [name, parameter] : named_parameters(module)) fn(name, *parameter);
}

/// Number of elements of all parameters; `trainable` counts only those with requires_grad.
template <class M> index_t count_parameters(M& module, bool trainable = false) {
  index_t n = 0;
  each_parameter(module, [&](const std::string&, auto& p) {
    if (!trainable || p.requires_grad()) n += p.numel();
  });
  return n;
}

template <class M> void zero_grad(M& module) {
  each_parameter(module, [](const std::string&, auto& p) { p.zero_grad(); });
}

/// Switches gradients for every parameter whose name satisfies `chosen(name)`.
template <class M, class Chosen> void set_requires_grad(M& module, bool on, Chosen chosen) {
  each_parameter(module, [&](const std::string& name, auto& p) {
    if (chosen(name)) p.set_requires_grad(on);
  });
}

/// Outcome of loading named tensors into a module.
struct LoadReport {
  /// Mismatched and resized entries say both shapes
  std::vector<std::string> loaded, missing, unexpected, mismatched, resized;
  bool ok() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  std::string to_text() const {
    std::string text;
    const auto list = [&](std::string_view title, const std::vector<std::string>& names) {
      if (names.empty()) return;
      text += fmt::format("{} ({}):", title, names.size());
      for (std::size_t i = 0; i < names.size() && i < 8; ++i) text += " " + names[i];
      if (names.size() > 8) text += " …";
      text += "\n";
    };
    list("missing", missing);
    list("unexpected", unexpected);
    list("wrong shape", mismatched);
    return text;
  }
};

namespace detail {

/// Calls put(name, Var&) for every parameter that `source` has in its shape.
template <class M, class Source, class Put>
LoadReport match_state_dict(M& module, const Source& source, bool strict, Put put) {
  LoadReport report;
  std::map<std::string, bool> used;
  each_parameter(module, [&](const std::string& name, auto& p) {
    used[name] = true;
    if (!source.contains(name)) {
      report.missing.push_back(name);
      return;
    }
    const Shape shape = source.info(name).shape;
    if (!(shape == p.shape()))
      report.mismatched.push_back(
          fmt::format("{} {} against {}", name, to_string(shape), to_string(p.shape())));
    else {
      put(name, p);
      report.loaded.push_back(name);
    }
  });
  for (const auto& name : source.names())
    // How many batches a norm of PyTorch has seen: ours does not count them
    if (!used.count(name) && !name.ends_with("num_batches_tracked"))
      report.unexpected.push_back(name);
  if (strict && !report.ok())
    fail("load_state_dict", "names or shapes differ\n{}", report.to_text());
  return report;
}

}  // namespace detail

/// Copies tensors into the parameters of the same name.
///
/// @param source a SafetensorsFile, or anything with its names(), contains(name), info(name).shape
/// and tensor<T, B>(name)
/// @param strict throws unless every name is on both sides with the same shape; the counter
/// `num_batches_tracked` of PyTorch's batch norms apart, which is passed over
template <class M, class Source>
LoadReport load_state_dict(M& module, const Source& source, bool strict = true) {
  return detail::match_state_dict(module, source, strict, [&](const std::string& name, auto& p) {
    p.value().assign(source.template tensor<typename M::value_type, typename M::backend>(name));
  });
}

/// Makes the parameters be the tensors of the same name in a mapped file: nothing is copied, and
/// what is not used is never read. Copies of the module made before keep their old parameters.
/// @param source a SafetensorsFile opened with MapAccess::copy_on_write, or anything with its
/// mapped<T>(name)
/// @param strict as for load_state_dict
template <class M, class Source>
LoadReport map_state_dict(M& module, const Source& source, bool strict = true) {
  return detail::match_state_dict(module, source, strict, [&](const std::string& name, auto& p) {
    p = std::remove_reference_t<decltype(p)>(source.template mapped<typename M::value_type>(name),
                                             p.requires_grad());
  });
}

HLIP_END
