// Kinds dino_loss_centering, dino_loss_sinkhorn, ibot_loss, koleo: the terms of self-distillation.
#pragma once

#include "tolerances.hpp"

#include <hlip/losses/koleo.hpp>
#include <hlip/losses/self_distillation.hpp>

namespace golden {

/// Every student crop against every crop of the teacher: Σ over pairs of the mean over the batch.
template <class B>
Var<float, B> all_pairs_loss(const Var<float, B>& student, const Tensor<float, B>& teacher,
                             index_t batch, double temperature) {
  const index_t k = teacher.dim(1), crops = teacher.dim(0) / batch, copies = student.dim(0) / batch;
  const Tensor<float, B> both = sum(teacher.reshape({crops, batch, k}), {0});
  const Tensor<float, B> targets = Tensor<float, B>(
                                       both.reshape({1, batch, k}).expand({copies, batch, k}))
                                       .reshape({copies * batch, k});
  return sum(soft_cross_entropy(student, targets, temperature)) *
         (1.0 / static_cast<double>(batch));
}

template <class B> void check_dino_loss_centering(Fixture& f) {
  const index_t batch = size_of(f.said_json("batch"), "batch");
  const double student_temp = number_of(f.said_json("student_temp"), "student_temp"),
               momentum = number_of(f.said_json("center_momentum"), "center_momentum");
  Tensor<float, B> centre = f.tensor<B>("input.center");
  std::size_t step = 0;
  const Json temperatures = f.said_json("teacher_temps");
  for (const auto& temperature : list_of(temperatures, "teacher_temps")) {
    const std::string at = fmt::format("step{}.", step++);
    const auto teacher = f.tensor<B>("input." + at + "teacher");
    f.compare("output." + at + "center_used", centre, of_an_operator);
    const auto targets = centred_targets(teacher, centre, number_of(temperature, "teacher_temps"));
    f.compare("output." + at + "teacher_prob", targets, of_an_operator);
    const Var<float, B> student(f.tensor<B>("input." + at + "student"), true);
    const Var<float, B> loss = all_pairs_loss(student, targets, batch, student_temp);
    f.compare("output." + at + "loss", loss.value(), of_an_operator);
    loss.backward();
    f.compare("grad." + at + "student", student.grad(), of_an_operator);
    centre = Tensor<float, B>(centre * momentum + mean_row(teacher) * (1 - momentum));
  }
  f.compare("output.center_final", centre, of_an_operator);
}

template <class B> void check_dino_loss_sinkhorn(Fixture& f) {
  const index_t batch = size_of(f.said_json("batch"), "batch");
  const double temperature = number_of(f.said_json("teacher_temp"), "teacher_temp");
  const auto teacher = f.tensor<B>("input.teacher");
  for (const auto& name : f.file().names())
    if (name.starts_with("output.assign_iter"))
      f.compare(name, sinkhorn_knopp(teacher, temperature, std::stoi(name.substr(18))),
                of_an_operator);
  const auto targets = sinkhorn_knopp(
      teacher, temperature, static_cast<int>(size_of(f.said_json("iterations"), "iterations", 0)));
  f.compare("output.teacher_prob", targets, of_an_operator);
  f.compare("output.teacher_prob_f64", targets, of_an_operator);
  const Var<float, B> student(f.tensor<B>("input.student"), true);
  const Var<float, B> loss = all_pairs_loss(student, targets, batch,
                                            number_of(f.said_json("student_temp"), "student_temp"));
  f.compare("output.loss", loss.value(), of_an_operator);
  loss.backward();
  f.compare("grad.student", student.grad(), of_an_operator);
}

/// Masked patches, each weighted, over the number of pictures.
template <class B>
Var<float, B> masked_patch_loss(const Var<float, B>& student, const Tensor<float, B>& targets,
                                const Tensor<float, B>& weights, index_t images,
                                double temperature) {
  const Var<float, B> products = soft_cross_entropy(student, targets, temperature) *
                                 Var<float, B>(weights.reshape({weights.numel(), 1}));
  return sum(products) * (1.0 / static_cast<double>(images));
}

template <class B> void check_ibot_loss(Fixture& f) {
  const index_t images = size_of(f.said_json("images"), "images");
  const double student_temp = number_of(f.said_json("student_temp"), "student_temp"),
               teacher_temp = number_of(f.said_json("teacher_temp"), "teacher_temp"),
               momentum = number_of(f.said_json("center_momentum"), "center_momentum");
  const auto teacher = f.tensor<B>("input.teacher"), centre = f.tensor<B>("input.center"),
             weights = f.tensor<B>("input.masks_weight");
  for (const std::string& mode : {std::string("centering"), std::string("sinkhorn")}) {
    const auto targets = mode == "centering" ? centred_targets(teacher, centre, teacher_temp)
                                             : sinkhorn_knopp(teacher, teacher_temp);
    f.compare("output." + mode + ".teacher_prob", targets, of_an_operator);
    const Var<float, B> student(f.tensor<B>("input.student"), true);
    const Var<float, B> loss = masked_patch_loss(student, targets, weights, images, student_temp);
    f.compare("output." + mode + ".loss", loss.value(), of_an_operator);
    loss.backward();
    f.compare("grad." + mode + ".student", student.grad(), of_an_operator);
  }
  f.compare("output.center_after",
            Tensor<float, B>(centre * momentum + mean_row(teacher) * (1 - momentum)),
            of_an_operator);

  // all patches given, masked ones picked here
  const Var<float, B> dense(f.tensor<B>("input.dense.student"), true);
  const index_t tokens = dense.dim(1), k = dense.dim(2);
  const auto rows = f.indices<B>("input.mask_indices");
  const auto targets = index_select(
      f.tensor<B>("input.dense.teacher_prob").reshape({images * tokens, k}), rows);
  const Var<float, B> loss = masked_patch_loss(
      index_select(reshape(dense, {images * tokens, k}), rows), targets, weights, images,
      student_temp);
  f.compare("output.dense.loss", loss.value(), of_an_operator);
  loss.backward();
  f.compare("grad.dense.student", dense.grad(), of_an_operator);
}

template <class B> void check_koleo(Fixture& f) {
  const Var<float, B> x(f.tensor<B>("input.x"), true);
  const double eps = number_of(f.said_json("eps"), "eps");
  const Var<float, B> loss = koleo_loss(x, eps);
  f.compare("output.loss", loss.value(), of_an_operator);
  loss.backward();
  f.compare("grad.x", x.grad(), of_an_operator);
  const auto neighbours = nearest_neighbours(l2_normalize(x, eps).value());
  f.compare_exact("output.neighbours", neighbours.to_vector(), neighbours.shape());
}

}  // namespace golden
