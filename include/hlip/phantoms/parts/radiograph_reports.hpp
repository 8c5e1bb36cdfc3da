// The sentences of phantom radiographs: what parts/reports.hpp makes of them is their report.
#pragma once

#include <hlip/phantoms/parts/radiograph_options.hpp>
#include <hlip/phantoms/parts/reports.hpp>

HLIP_BEGIN

namespace detail {

/// In the order of RadiographFinding; see finding_sentences.
inline constexpr std::array<FindingSentences, radiograph_finding_count>
    radiograph_finding_sentences = {{
        {{"The lungs are hyperinflated with flat diaphragms, {grade} emphysema.",
          "There is {grade} emphysema with increased lucency of both lungs.",
          "{Grade} emphysematous change with air cysts is seen.",
          "Both lungs show {grade} emphysema."},
         {"No emphysema is seen.", "The lungs are not hyperinflated.", "Emphysema is not present.",
          "There is no emphysema."},
         {"Emphysema.", "{Grade} emphysema."}},
        {{"Linear atelectasis is seen in the {zone}.", "There are atelectatic bands in the {zone}.",
          "Plate atelectasis with a raised diaphragm is present in the {zone}.",
          "Band like opacities of atelectasis in the {zone}."},
         {"No atelectasis is seen.", "There is no atelectasis.", "Atelectasis is not present."},
         {"Atelectasis.", "Atelectasis in the {zone}."}},
        {{"A nodule of {mm} mm is seen in the {zone}.",
          "There {are} in the lungs, the largest {mm} mm in the {zone}.",
          "{Count} measuring up to {mm} mm in the {zone}.",
          "A rounded opacity of {mm} mm, a nodule, projects over the {zone}."},
         {"No lung nodule is seen.", "There is no nodule.", "Lung nodule is not present."},
         {"Lung nodule.", "{Count} in the {zone}."}},
        {{"A hazy lung opacity is seen in the {zone}.", "There is patchy opacity in the {zone}.",
          "Ill defined lung opacity is present in the {zone}.",
          "Hazy opacification of the {zone}."},
         {"No lung opacity is seen.", "There is no hazy opacity.", "Lung opacity is not present."},
         {"Lung opacity.", "Lung opacity in the {zone}."}},
        {{"{Size} pleural effusion is seen {onside}.",
          "There is {size} pleural fluid {onside} with a meniscus.",
          "The costophrenic angle is blunted by {size} effusion {onside}.",
          "Pleural effusion of {size} amount {onside}."},
         {"No pleural effusion is seen.", "The costophrenic angles are clear.",
          "There is no pleural fluid.", "Pleural effusion is not present."},
         {"Pleural effusion.", "{Size} pleural effusion {onside}.", "Pleural effusion {onside}."}},
        {{"A {size} consolidation is seen in the {zone}.",
          "There is dense airspace consolidation in the {zone}.",
          "Consolidation is present in the {zone}.", "{Size} consolidated area in the {zone}."},
         {"No consolidation is seen.", "The lungs are not consolidated.",
          "There is no consolidation.", "Consolidation is not present."},
         {"Consolidation.", "Consolidation in the {zone}."}},
        {{"The heart is enlarged to a {grade} degree.", "{Grade} cardiomegaly is seen.",
          "The cardiothoracic ratio is increased.", "The heart is enlarged, cardiomegaly is seen."},
         {"The heart is not enlarged.", "The heart size is normal.", "There is no cardiomegaly."},
         {"Cardiomegaly.", "{Grade} cardiomegaly."}},
        {{"A {size} hiatal hernia is seen behind the heart.",
          "There is a {size} retrocardiac mass with air, a hiatal hernia.",
          "A {size} hernia of the stomach projects over the heart.", "Hiatal hernia is seen."},
         {"No hiatal hernia is seen.", "There is no hernia behind the heart."},
         {"Hiatal hernia.", "{Size} hiatal hernia."}},
        {{"{Size} is in place.", "The tip of the {size} is seen.",
          "The course of the {size} is regular.", "Unchanged {size}."},
         {"No tube or catheter is seen.", "There are no tubes or lines."},
         {"{Size}.", "{Size} in place."}},
        {{"There is a pneumothorax {onside}, {mm} mm wide.",
          "{Size} pneumothorax is seen {onside}.",
          "An air rim of {mm} mm separates the lung from the chest wall {onside}.",
          "{Size} air rim {onside}, the pleural line is visible."},
         {"No pneumothorax is seen.", "There is no air rim.", "Pneumothorax is not present."},
         {"Pneumothorax.", "{Size} pneumothorax {onside}."}},
    }};

inline constexpr std::array<std::string_view, 8> normal_radiograph_sentences = {
    "The trachea is in the midline.",
    "The mediastinal contours are normal.",
    "The hila are normal.",
    "The bones are intact.",
    "The visualised abdomen is normal.",
    "The soft tissues are unremarkable.",
    "The pulmonary vessels are regular.",
    "No fracture is seen."};
inline constexpr ReportWords radiograph_words{
    radiograph_finding_sentences,
    normal_radiograph_sentences,
    {"Chest radiograph within normal limits.", "No significant abnormality.",
     "Normal chest radiograph."}};

}  // namespace detail

HLIP_END
