// Kinds dino_loss_centering, dino_loss_sinkhorn, ibot_loss, koleo: the terms of self-distillation.
#pragma once

#include "../tolerances.hpp"

#include <hlip/losses/koleo.hpp>
#include <hlip/losses/prototype_cross_entropy.hpp>

namespace golden {

/// Prototypes whose logits are the features themselves: fixtures hold logits.
template <class B> Prototypes<float, B> each_its_own(index_t k) {
  const auto row = Tensor<std::int64_t, B>::arange(k).reshape({k, 1}),
             column = Tensor<std::int64_t, B>::arange(k).reshape({1, k});
  return {Tensor<float, B>::ones({k, 1}),
          Tensor<float, B>(where(row == column, Tensor<float, B>::ones(Shape{}), 0))};
}

/// The mean of what the rows say.
template <class B> Tensor<float, B> mean_logits(const Tensor<float, B>& teacher) {
  return summed_logits(teacher, each_its_own<B>(teacher.dim(1))) *
         (1.0 / static_cast<double>(teacher.dim(0)));
}

/// All of the probabilities.
template <class B> Tensor<float, B> all_of(const PrototypeTargets<float, B>& targets) {
  return targets.probabilities(0, targets.prototypes.count());
}

template <class B>
Var<float, B> losses_of_logits(const Var<float, B>& student,
                               const PrototypeTargets<float, B>& targets,
                               const ComparedRows& compared, double temperature) {
  const Prototypes<float, B> own = each_its_own<B>(student.dim(1));
  return prototype_cross_entropy(student, Var<float, B>(own.g), Var<float, B>(own.v), targets,
                                 compared, temperature);
}

/// Every student crop against both crops of the teacher: Σ over pairs of the mean over the batch.
template <class B>
Var<float, B> all_pairs_loss(Fixture& f, const Var<float, B>& student,
                             const PrototypeTargets<float, B>& targets, index_t batch,
                             double temperature) {
  f.demand(targets.rows() == 2 * batch, "{} rows of a teacher for {} pictures", targets.rows(),
           batch);
  ComparedRows compared;
  for (index_t i = 0; i < student.dim(0); ++i) {
    compared.first.push_back(i % batch);
    compared.second.push_back(batch + i % batch);
  }
  return sum(losses_of_logits(student, targets, compared, temperature)) *
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
    const auto own = each_its_own<B>(teacher.dim(1));
    f.compare("output." + at + "center_used", centre, of_an_operator);
    const auto targets = centred_targets(teacher, own, centre,
                                         number_of(temperature, "teacher_temps"));
    f.compare("output." + at + "teacher_prob", all_of(targets), of_an_operator);
    const Var<float, B> student(f.tensor<B>("input." + at + "student"), true);
    const Var<float, B> loss = all_pairs_loss(f, student, targets, batch, student_temp);
    f.compare("output." + at + "loss", loss.value(), of_an_operator);
    loss.backward();
    f.compare("grad." + at + "student", student.grad(), of_an_operator);
    centre = Tensor<float, B>(centre * momentum + mean_logits(teacher) * (1 - momentum));
  }
  f.compare("output.center_final", centre, of_an_operator);
}

template <class B> void check_dino_loss_sinkhorn(Fixture& f) {
  const index_t batch = size_of(f.said_json("batch"), "batch");
  const double temperature = number_of(f.said_json("teacher_temp"), "teacher_temp");
  const auto teacher = f.tensor<B>("input.teacher");
  const auto own = each_its_own<B>(teacher.dim(1));
  for (const auto& name : f.file().names())
    if (name.starts_with("output.assign_iter"))
      f.compare(name,
                all_of(sinkhorn_targets(teacher, own, temperature, std::stoi(name.substr(18)))),
                of_an_operator);
  const auto targets = sinkhorn_targets(
      teacher, own, temperature,
      static_cast<int>(size_of(f.said_json("iterations"), "iterations", 0)));
  f.compare("output.teacher_prob", all_of(targets), of_an_operator);
  f.compare("output.teacher_prob_f64", all_of(targets), of_an_operator);
  const Var<float, B> student(f.tensor<B>("input.student"), true);
  const Var<float, B> loss = all_pairs_loss(f, student, targets, batch,
                                            number_of(f.said_json("student_temp"), "student_temp"));
  f.compare("output.loss", loss.value(), of_an_operator);
  loss.backward();
  f.compare("grad.student", student.grad(), of_an_operator);
}

/// Masked patches, each weighted, over the number of pictures.
template <class B>
Var<float, B> masked_patch_loss(const Var<float, B>& student,
                                const PrototypeTargets<float, B>& targets,
                                const Tensor<float, B>& weights, index_t images,
                                double temperature) {
  const Var<float, B> products = losses_of_logits(student, targets, {}, temperature) *
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
  const auto own = each_its_own<B>(teacher.dim(1));
  for (const std::string& mode : {std::string("centering"), std::string("sinkhorn")}) {
    const auto targets = mode == "centering" ? centred_targets(teacher, own, centre, teacher_temp)
                                             : sinkhorn_targets(teacher, own, teacher_temp);
    f.compare("output." + mode + ".teacher_prob", all_of(targets), of_an_operator);
    const Var<float, B> student(f.tensor<B>("input.student"), true);
    const Var<float, B> loss = masked_patch_loss(student, targets, weights, images, student_temp);
    f.compare("output." + mode + ".loss", loss.value(), of_an_operator);
    loss.backward();
    f.compare("grad." + mode + ".student", student.grad(), of_an_operator);
  }
  f.compare("output.center_after",
            Tensor<float, B>(centre * momentum + mean_logits(teacher) * (1 - momentum)),
            of_an_operator);

  // all patches given, masked ones picked here; the targets as logits whose softmax they are
  const Var<float, B> dense(f.tensor<B>("input.dense.student"), true);
  const index_t tokens = dense.dim(1), k = dense.dim(2);
  const auto rows = f.indices<B>("input.mask_indices");
  const auto given = index_select(
      f.tensor<B>("input.dense.teacher_prob").reshape({images * tokens, k}), rows);
  const auto targets = centred_targets(
      Tensor<float, B>(log(maximum(given, std::numeric_limits<float>::min()))), own,
      Tensor<float, B>::zeros({1, k}), 1.0);
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
