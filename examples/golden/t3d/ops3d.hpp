// Kind ops3d: operators over volumes, forward and backward. Their names say what they are.
#pragma once

#include "../tolerances.hpp"

namespace golden {

/// The parameters of one operator, as far as the fixture has them; of those that are trained also
/// their gradients.
template <class B> struct OperatorParameters {
  std::map<std::string, Var<float, B>> of;

  OperatorParameters(Fixture& f, const std::string& op) {
    for (const char* name : {"weight", "bias", "running_mean", "running_var"}) {
      const std::string full = "param." + op + "." + name;
      if (f.contains(full))
        of[name] = Var<float, B>(f.tensor<B>(full), f.contains("grad." + op + "." + name));
    }
  }
  const Var<float, B>& operator[](const std::string& name) const {
    static const Var<float, B> none;
    return of.contains(name) ? of.at(name) : none;
  }
};

/// @param result shape of the operator's result, for those that are told it
template <class B>
Var<float, B> apply_operator(Fixture& f, const std::string& op, const Var<float, B>& x,
                             const OperatorParameters<B>& p, const Shape& result) {
  const Shape& w = p["weight"].shape();
  if (op.starts_with("convt"))
    return conv_transpose3d(x, p["weight"], p["bias"], {.stride{w[2], w[3], w[4]}});
  if (op == "patch_embed") return conv3d(x, p["weight"], p["bias"], {.stride{w[2], w[3], w[4]}});
  if (op.starts_with("conv"))
    return conv3d(x, p["weight"], p["bias"],
                  {.stride{op.find("_s2") != std::string::npos ? 2 : 1},
                   .padding{w[2] / 2, w[3] / 2, w[4] / 2}});
  if (op == "batch")
    return batch_norm(x, p["weight"], p["bias"],
                      RunningMoments<float, B>{p["running_mean"], p["running_var"]}, true);
  if (op == "instance") return instance_norm(x, p["weight"], p["bias"]);
  if (op == "group") return group_norm(x, 1, p["weight"], p["bias"]);
  if (op == "maxpool") return max_pool3d(x, {3}, {.stride{2}, .padding{1}});
  if (op == "avgpool") return avg_pool3d(x, {2});
  if (op == "leaky") return Var<float, B>(where(x > 0, x, x * 0.01));
  if (op == "up2" || op == "size")
    return interpolate(x, std::span<const index_t>(result.begin() + 2, result.end()),
                       Interpolation::linear);
  fail_file(f.path(), "output." + op, "is of an operator that is not known");
}

template <class B> void check_ops3d(Fixture& f) {
  const std::string begin = "output.";
  for (const auto& name : f.file().names()) {
    if (!name.starts_with(begin)) continue;
    const std::string op = name.substr(begin.size());
    const OperatorParameters<B> parameters(f, op);
    const Var<float, B> x(f.tensor<B>("input.x"), true);
    const Var<float, B> y = apply_operator(f, op, x, parameters, f.shape(name));
    f.compare(name, y.value(), of_an_operator);
    y.backward(f.tensor<B>("input." + op + ".cotangent"));
    f.compare("grad." + op + ".x", x.grad(), of_an_operator);
    for (const auto& [parameter, p] : parameters.of)
      if (p.requires_grad()) f.compare("grad." + op + "." + parameter, p.grad(), of_an_operator);
  }
}

}  // namespace golden
