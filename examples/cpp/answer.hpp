// From the outputs of a network to a direction, a confidence, and whether somebody talks.

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <vector>

#include "model_file.hpp"
#include "sound.hpp"

using Vector = std::array<double, 3>;  // x, y, z

inline double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// Directions of the cells of a grid, from the lowest row up.
inline std::vector<Vector> sphere_grid(double resolution_deg) {
  std::vector<Vector> cells;
  const double rows = std::nearbyint(180.0 / resolution_deg);
  for (double row = 0.0; row <= rows; ++row) {
    const double elevation = (-90.0 + 180.0 * row / rows) * kPi / 180.0;
    const double columns = std::nearbyint(360.0 * std::cos(elevation) / resolution_deg) + 1.0;
    for (double column = 0.0; column < columns; ++column) {
      const double azimuth = (-180.0 + 360.0 * column / columns) * kPi / 180.0;
      cells.push_back({std::cos(elevation) * std::cos(azimuth),
                       std::cos(elevation) * std::sin(azimuth), std::sin(elevation)});
    }
  }
  return cells;
}

struct Answer {
  Vector direction{1.0, 0.0, 0.0};
  double confidence = 0.0;
};

// The mean scores' peak, or its centroid: ten steps of mean shift with a lobe of the grid's step.
inline Answer decode(const std::vector<double>& scores, const std::vector<Vector>& cells,
                     const Spec& spec) {
  const std::size_t peak = std::max_element(scores.begin(), scores.end()) - scores.begin();
  Answer answer;
  answer.confidence = std::clamp(scores[peak], 0.0, 1.0);
  if (scores[peak] <= 0.0) return answer;
  answer.direction = cells[peak];
  const double width = spec.resolution_deg * kPi / 180.0;
  for (int step = 0; step < 10 && spec.centroid; ++step) {
    Vector centroid{};
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const double lobe = std::exp((dot(cells[i], answer.direction) - 1.0) / (width * width));
      for (std::size_t axis = 0; axis < 3; ++axis)
        centroid[axis] += lobe * scores[i] / scores[peak] * cells[i][axis];
    }
    const double length = std::sqrt(dot(centroid, centroid));
    if (length <= 1e-9) return {{1.0, 0.0, 0.0}, answer.confidence};
    for (std::size_t axis = 0; axis < 3; ++axis) answer.direction[axis] = centroid[axis] / length;
  }
  return answer;
}

// The table's value at a raw confidence: straight lines between its pairs, constant beyond.
inline double calibrate(double raw, const std::vector<std::pair<double, double>>& table) {
  if (table.empty()) return raw;
  if (raw <= table.front().first) return table.front().second;
  for (std::size_t i = 1; i < table.size(); ++i)
    if (raw <= table[i].first) {
      const auto& [x, y] = table[i - 1];
      return y + (table[i].second - y) * (raw - x) / (table[i].first - x);
    }
  return table.back().second;
}

// The least smoothed power of the last eight seconds; nothing before they have passed.
class NoiseFloor {
 public:
  explicit NoiseFloor(double hop_s)
      : hops_of_part_(std::max(1.0, std::nearbyint(0.8 / hop_s))), decay_(std::exp(-hop_s / 0.06)) {}

  void update(double power) {  // mean power of the next hop
    if (first_) smoothed_ = power;
    first_ = false;
    smoothed_ += (1.0 - decay_) * (power - smoothed_);
    current_ = std::min(current_, smoothed_);
    if (++hops_ < hops_of_part_) return;
    least_.push_back(current_);
    if (least_.size() > kParts) least_.pop_front();
    current_ = std::numeric_limits<double>::infinity();
    hops_ = 0.0;
  }

  bool is_known() const { return least_.size() == kParts; }

  double power() const {
    return std::min(current_, *std::min_element(least_.begin(), least_.end()));
  }

 private:
  static constexpr std::size_t kParts = 10;
  const double hops_of_part_, decay_;
  bool first_ = true;
  double smoothed_ = 0.0, hops_ = 0.0, current_ = std::numeric_limits<double>::infinity();
  std::deque<double> least_;
};
