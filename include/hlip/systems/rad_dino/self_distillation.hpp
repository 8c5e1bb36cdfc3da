// RAD-DINO's objective: a student sees parts of a picture (or of a study of volumes) and is to say
// what its slow average, the teacher, says of the whole. Source: reference document RAD-DINO §4–§6;
// Oquab et al. 2023 (DINOv2).
#pragma once

#include <hlip/losses/contrastive.hpp>
#include <hlip/losses/koleo.hpp>
#include <hlip/losses/prototype_cross_entropy.hpp>
#include <hlip/optim/ema.hpp>
#include <hlip/systems/rad_dino/collapse.hpp>
#include <hlip/systems/rad_dino/crops.hpp>
#include <hlip/systems/rad_dino/masking.hpp>
#include <hlip/systems/rad_dino/model.hpp>
#include <hlip/systems/rad_dino/parameter_groups.hpp>
#include <hlip/train/objective.hpp>

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How the teacher is kept from giving all pictures the same answer.
enum class Centering { centering, sinkhorn_knopp };

struct SelfDistillationSettings {
  Centering centering = Centering::centering;
  double center_momentum = 0.9;
  double student_temperature = 0.1;
  double dino_weight = 1, ibot_weight = 1, koleo_weight = 0.1;
  MaskingOptions masking;
  LayerwiseSettings layerwise;
  CollapseLimits collapse;
};

/// The objective. It reads the schedules "teacher_temp" and "momentum", and its parameters
/// "last_layer" and "weight_decay".
/// @tparam Backbone the encoder, see SelfDistillationModel
template <class T = float, class B = Cpu, Communicator C = SingleProcess,
          class Backbone = Vit<T, B>>
class SelfDistillationObjective {
 public:
  using value_type = T;
  using backend = B;
  using Model = SelfDistillationModel<T, B, Backbone>;
  using Config = typename Model::Config;

  /// @param model the student; must outlive the objective. The teacher starts as its copy.
  SelfDistillationObjective(Model& model, const Config& config,
                            const SelfDistillationSettings& settings, const C& communicator = {})
      : student_(model), settings_(settings), communicator_(communicator) {
    Initializer empty = Initializer::without_values();
    Config still = config;
    still.backbone.drop_path = 0;
    teacher_ = Model(still, empty);
    pairs(
        [](const Tensor<T, B>& teacher, const Tensor<T, B>& student) { teacher.assign(student); });
    set_requires_grad(teacher_, false, [](const std::string&) { return true; });
    const auto prototypes = [](const DinoHead<T, B>& head) {
      return head.last_layer.weight_g.dim(0);
    };
    dino_.centre = Tensor<T, B>::zeros({1, prototypes(student_.dino_head)});
    ibot_.centre = Tensor<T, B>::zeros({1, prototypes(student_.patch_head())});
  }

  Model& model() { return student_; }
  Model& teacher() { return teacher_; }
  const Tensor<T, B>& dino_centre() const { return dino_.centre; }
  const Tensor<T, B>& ibot_centre() const { return ibot_.centre; }

  std::vector<OptimizedParameter<T, B>> parameter_groups() {
    return self_distillation_parameters(named_parameters(student_), student_.backbone.config.depth,
                                        settings_.layerwise);
  }

  StepScalars<T, B> backward(const std::vector<CropBatch<T, B>>& parts, const StepContext& at) {
    dino_.rows = ibot_.rows = 0;
    const double share = 1.0 / static_cast<double>(parts.size());
    StepScalars<T, B> means;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto number = static_cast<std::uint32_t>(i);
      const Crops crops = crops_of(parts[i], at.shared.child(number));
      const Targets targets = targets_of(crops, at.value("teacher_temp"));
      const StepScalars<T, B> scalars = student_backward(crops, targets, at.context.child(number),
                                                         share);
      for (std::size_t k = 0; k < scalars.size(); ++k) {
        const Tensor<T, B> part = scalars[k].second * share;
        if (i == 0) means.emplace_back(scalars[k].first, part);
        else means[k].second = Tensor<T, B>(means[k].second + part);
      }
    }
    return means;
  }

  /// Moves the teacher and the centres.
  void after_step(const StepContext& at) {
    const double m = at.value("momentum");
    pairs([m](const Tensor<T, B>& teacher, const Tensor<T, B>& student) {
      move_average(teacher, student, m);
    });
    for (Centre* c : {&dino_, &ibot_})
      if (c->rows > 0)
        move_average(c->centre, Tensor<T, B>(c->sum * (1.0 / static_cast<double>(c->rows))),
                     settings_.center_momentum);
  }

  /// Ends a run that has collapsed.
  template <class Result> void check(const Result& result, const StepContext& at) {
    collapse_.check(settings_.collapse, result.others, at.step, at.steps);
  }

  template <class Visit> void each_count(Visit&& visit) { collapse_.each_count(visit); }

  template <class Visit> void each_state(Visit&& visit) {
    for (const auto& [name, var] : named_parameters(teacher_))
      visit("teacher.safetensors", name, var->value());
    if (settings_.centering == Centering::sinkhorn_knopp) return;
    visit("centres.safetensors", "dino_loss.center", dino_.centre);
    visit("centres.safetensors", "ibot_patch_loss.center", ibot_.centre);
  }

 private:
  /// The centre of teacher logits, and the sum of this step's over all parts and ranks, whose mean
  /// moves it once the step is taken.
  struct Centre {
    Tensor<T, B> centre, sum;
    index_t rows = 0;  ///< in the sum
  };
  /// A batch, and what of its global crops is masked.
  struct Crops {
    const CropBatch<T, B>* batch;
    index_t pictures = 0, locals = 0;                 ///< B and L
    std::vector<std::uint8_t> masks;                  ///< (2B, patches)
    std::vector<std::pair<index_t, index_t>> masked;  ///< (picture, patch), one after the other
    std::vector<T> patch_weights;                     ///< of each: 1 / (masked in its picture)
  };
  /// Teacher probabilities of class tokens (2B rows) and of masked patches (M rows).
  struct Targets {
    PrototypeTargets<T, B> cls, patches;
  };

  template <class Fn> void pairs(Fn fn) {
    const auto mine = named_parameters(student_), slow = named_parameters(teacher_);
    for (std::size_t i = 0; i < mine.size(); ++i)
      fn(slow[i].second->value(), mine[i].second->value());
  }

  static Tensor<std::int64_t, B> row_list(const std::vector<std::int64_t>& rows) {
    return Tensor<std::int64_t, B>::from_values({static_cast<index_t>(rows.size())},
                                                std::span<const std::int64_t>(rows));
  }

  /// Checks a batch and draws its masks. Those of all ranks are drawn as one batch.
  Crops crops_of(const CropBatch<T, B>& batch, const Context& shared) const {
    const CropGrid grid = mask_grid(student_.backbone, batch.global.shape());
    Crops c;
    c.batch = &batch;
    const index_t images = grid.crops, patches = grid.patches();
    expect(images > 0 && images % 2 == 0, "self_distillation", "{} global crops, expected two each",
           images);
    c.pictures = images / 2;
    if (batch.local.numel() > 0) {
      expect(batch.local.dim(0) % c.pictures == 0, "self_distillation",
             "{} local crops of {} pictures", batch.local.dim(0), c.pictures);
      c.locals = batch.local.dim(0) / c.pictures;
    }
    c.masks = batch.masks;
    if (c.masks.empty()) {
      const index_t all = c.pictures * communicator_.size();
      const BatchMasks drawn = batch_masks(
          2 * all * grid.parts, grid.part, settings_.masking,
          [stream = RandomStream(shared.child(0).key)]() mutable { return stream.uniform(); });
      for (index_t view = 0; view < 2; ++view) {
        const auto first = drawn.masks.begin() +
                           (view * all + communicator_.rank() * c.pictures) * patches;
        c.masks.insert(c.masks.end(), first, first + c.pictures * patches);
      }
    }
    expect(static_cast<index_t>(c.masks.size()) == images * patches, "self_distillation",
           "{} mask entries, expected {} x {}", c.masks.size(), images, patches);
    for (index_t i = 0; i < images; ++i) {
      const auto before = c.masked.size();
      for (index_t p = 0; p < patches; ++p)
        if (c.masks[static_cast<std::size_t>(i * patches + p)] != 0) c.masked.emplace_back(i, p);
      const auto count = c.masked.size() - before;
      c.patch_weights.resize(
          c.masked.size(),
          static_cast<T>(1.0 / static_cast<double>(std::max<std::size_t>(count, 1))));
    }
    return c;
  }

  /// What the teacher says, of unmasked global crops.
  Targets targets_of(const Crops& crops, double temperature) {
    NoGrad guard;
    const auto tokens = teacher_.backbone({Var<T, B>(crops.batch->global)});
    const auto& g = tokens.grids[0];
    std::vector<std::int64_t> cls, patches;
    for (index_t i = 0; i < g.images; ++i) cls.push_back(g.cls(i));
    for (const auto& [image, patch] : crops.masked) patches.push_back(g.patch(image, patch));
    const auto said = [&](const std::vector<std::int64_t>& rows, const DinoHead<T, B>& head,
                          Centre& centre) {
      const Var<T, B> normed = teacher_.backbone.norm(index_select(tokens.x, row_list(rows)));
      return probabilities(head.features(normed).value(), prototypes_of(head), centre, temperature);
    };
    Targets targets;
    targets.cls = said(cls, teacher_.dino_head, dino_);
    // every rank takes part in the sums over all of them, also one without masked patches
    if (count_over_ranks(static_cast<index_t>(patches.size()), communicator_) > 0)
      targets.patches = said(patches, teacher_.patch_head(), ibot_);
    return targets;
  }

  static Prototypes<T, B> prototypes_of(const DinoHead<T, B>& head) {
    return {head.last_layer.weight_g.value(), head.last_layer.weight_v.value()};
  }

  PrototypeTargets<T, B> probabilities(const Tensor<T, B>& features,
                                       const Prototypes<T, B>& prototypes, Centre& centre,
                                       double temperature) {
    if (settings_.centering == Centering::sinkhorn_knopp)
      return sinkhorn_targets(features, prototypes, temperature, 3, communicator_);
    const Tensor<T, B> part = summed_logits(features, prototypes, communicator_);
    centre.sum = centre.rows > 0 ? Tensor<T, B>(centre.sum + part) : part;
    centre.rows += count_over_ranks(features.dim(0), communicator_);
    return centred_targets(features, prototypes, centre.centre, temperature);
  }

  /// Loss and gradients of the student.
  StepScalars<T, B> student_backward(const Crops& crops, const Targets& targets,
                                     const Context& context, double share) {
    const index_t b = crops.pictures, images = 2 * b, locals = crops.locals * b,
                  masked = static_cast<index_t>(crops.masked.size());
    const index_t patches = static_cast<index_t>(crops.masks.size()) / images;
    std::vector<VitInput<T, B>> inputs(1);
    inputs[0].images = Var<T, B>(crops.batch->global);
    inputs[0].masks = Tensor<std::uint8_t, B>::from_values(
        {images, patches}, std::span<const std::uint8_t>(crops.masks));
    if (locals > 0) inputs.emplace_back(Var<T, B>(crops.batch->local));
    const auto tokens = student_.backbone(inputs, context);

    // class tokens of global crops, those of local ones, masked patches
    std::vector<std::int64_t> rows;
    for (const auto& g : tokens.grids)
      for (index_t i = 0; i < g.images; ++i) rows.push_back(g.cls(i));
    for (const auto& [image, patch] : crops.masked)
      rows.push_back(tokens.grids[0].patch(image, patch));
    const Var<T, B> normed = student_.backbone.norm(index_select(tokens.x, row_list(rows)));
    const index_t cls = images + locals;
    const Var<T, B> each = losses_of_rows(normed, cls, masked, targets, b);

    // factor of every row in the loss
    const double terms = locals > 0 ? 2.0 + 2.0 * static_cast<double>(crops.locals) : 2.0;
    const double cls_factor = 1.0 / (static_cast<double>(b) * terms);
    std::vector<T> factor(static_cast<std::size_t>(cls), static_cast<T>(cls_factor));
    for (const T w : crops.patch_weights)
      factor.push_back(static_cast<T>(static_cast<double>(w) / static_cast<double>(images)));
    const auto factors = Tensor<T, B>::from_values({cls + masked, 1}, std::span<const T>(factor));
    const Tensor<T, B> shares = each.value() * factors;
    const auto part = [&](index_t begin, index_t end) {
      return sum(shares.slice(0, begin, end)).reshape(Shape{});
    };
    const Tensor<T, B> global = part(0, images), local = part(images, cls),
                       patch = part(cls, cls + masked);

    Tensor<T, B> koleo = Tensor<T, B>::zeros(Shape{});
    Var<T, B> loss = weighted_sum(each, factors, cls);
    if (settings_.koleo_weight > 0) {
      Var<T, B> both;
      for (index_t view = 0; view < 2; ++view) {
        const Var<T, B> one = koleo_loss(
            gather_features(slice(normed, 0, view * b, (view + 1) * b), communicator_, true, true));
        both = view == 0 ? one : Var<T, B>(both + one);
      }
      const Var<T, B> weighted = both * settings_.koleo_weight;
      koleo = weighted.value().reshape(Shape{});
      loss = Var<T, B>(loss + weighted);
    }
    const Var<T, B> counted = loss * share;
    counted.backward();
    return {{"loss", loss.value().reshape(Shape{})},
            {"dino_local", local},
            {"dino_global", global},
            {"koleo", koleo},
            {"ibot", patch},
            {"target_entropy", mean_entropy(targets.cls)},
            {"feature_spread", feature_spread(normed.value().slice(0, 0, images))}};
  }

  /// The cross-entropy of every row, class tokens first: (rows, 1).
  Var<T, B> losses_of_rows(const Var<T, B>& normed, index_t cls, index_t masked,
                           const Targets& targets, index_t pictures) {
    const auto losses = [this](const Var<T, B>& features, const DinoHead<T, B>& head,
                               const PrototypeTargets<T, B>& wanted, const ComparedRows& compared) {
      return prototype_cross_entropy(features, head.last_layer.weight_g, head.last_layer.weight_v,
                                     wanted, compared, settings_.student_temperature);
    };
    const DinoHead<T, B>&head = student_.dino_head, &patch_head = student_.patch_head();
    const ComparedRows compared = compared_cls(pictures, cls);
    if (masked == 0) return losses(head.features(normed), head, targets.cls, compared);
    std::vector<Var<T, B>> features;
    if (student_.separate_heads) {
      features = {head.features(slice(normed, 0, 0, cls)),
                  patch_head.features(slice(normed, 0, cls, cls + masked))};
    } else {
      const Var<T, B> all = head.features(normed);
      features = {slice(all, 0, 0, cls), slice(all, 0, cls, cls + masked)};
    }
    return concat(std::vector<Var<T, B>>{losses(features[0], head, targets.cls, compared),
                                         losses(features[1], patch_head, targets.patches, {})},
                  0);
  }

  /// A global crop is compared with the other one, a local crop with both. @param b pictures
  /// @param cls class tokens: of 2·b global crops, then of the local ones
  static ComparedRows compared_cls(index_t b, index_t cls) {
    ComparedRows rows;
    for (index_t i = 0; i < cls; ++i) {
      const bool global = i < 2 * b;
      rows.first.push_back(global ? (i + b) % (2 * b) : i % b);
      rows.second.push_back(global ? -1 : b + i % b);
    }
    return rows;
  }

  /// Σ weight · factor · loss over the rows: the weights of the two losses come on top.
  Var<T, B> weighted_sum(const Var<T, B>& each, const Tensor<T, B>& factors, index_t cls) const {
    const index_t rows = each.dim(0);
    Tensor<T, B> weights = factors * settings_.dino_weight;
    if (rows > cls)
      weights.slice(0, cls, rows).assign(factors.slice(0, cls, rows) * settings_.ibot_weight);
    const Var<T, B> products = each * Var<T, B>(weights);
    return sum(products);
  }

  Model& student_;
  SelfDistillationSettings settings_;
  C communicator_;
  Model teacher_;
  Centre dino_, ibot_;
  CollapseWatch collapse_;
};

HLIP_END
