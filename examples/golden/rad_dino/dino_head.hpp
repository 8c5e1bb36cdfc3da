// Kind dino_head: projection heads with MLPs of several depths.
#pragma once

#include "../tolerances.hpp"

#include <hlip/models/dino_head.hpp>

namespace golden {

template <class B> void check_dino_head(Fixture& f) {
  const Json depths = f.said_json("layers");
  for (const auto& layers : list_of(depths, "layers")) {
    DinoHeadConfig c;
    c.layers = static_cast<int>(size_of(layers, "layers"));
    c.in_dim = size_of(f.said_json("in_dim"), "in_dim");
    c.hidden = size_of(f.said_json("hidden"), "hidden");
    c.bottleneck = size_of(f.said_json("bottleneck"), "bottleneck");
    c.prototypes = size_of(f.said_json("prototypes"), "prototypes");
    const std::string at = fmt::format("layers{}.", c.layers);
    Initializer init(0);
    DinoHead<float, B> head(c, init);
    head.eps = number_of(f.said_json("normalise_eps"), "normalise_eps");
    load_state_dict(head, Group(f, "param." + at));
    const Var<float, B> x(f.tensor<B>("input." + at + "x"), true);
    const Var<float, B> y = head(x);
    f.compare("output." + at + "y", y.value(), of_an_operator);
    y.backward(f.tensor<B>("input." + at + "cotangent"));
    f.compare("grad." + at + "x", x.grad(), gradient_of_a_network);
    for (const auto& [name, p] : named_parameters(head))
      f.compare("grad." + at + name, p->grad(), gradient_of_a_network);
  }
}

}  // namespace golden
