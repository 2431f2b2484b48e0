// From a recording to the features of a network: see docs/other-runtimes.md for the formulas.

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "model_file.hpp"

constexpr double kPi = 3.14159265358979323846;
constexpr std::size_t kChannels = 4;  // AmbiX: W, Y, Z, X

using Sample = std::array<float, kChannels>;

// The samples of a WAV file of four channels of 16 bits; full scale is 1.
inline std::vector<Sample> read_wav(const std::string& data, std::size_t sample_rate) {
  const auto number = [&](std::size_t place, int bytes) {
    std::uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; --i)
      value = value << 8 | static_cast<unsigned char>(data.at(place + i));
    return value;
  };
  if (data.size() < 12 || data.compare(0, 4, "RIFF") != 0 || data.compare(8, 4, "WAVE") != 0)
    throw std::runtime_error("the recording must be a WAV file");
  const std::string pcm("\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71", 16);
  bool known = false;
  for (std::size_t place = 12; place + 8 <= data.size();) {
    const std::string name = data.substr(place, 4);
    const std::size_t size = number(place + 4, 4), content = place + 8;
    if (size > data.size() - content) throw std::runtime_error("the recording is cut short");
    if (name == "fmt " && size >= 16) {
      const auto tag = number(content, 2);
      const bool plain = tag == 1 || (tag == 0xFFFE && size >= 40 && data.substr(content + 24, 16) == pcm);
      known = plain && number(content + 2, 2) == kChannels && number(content + 14, 2) == 16 &&
              number(content + 4, 4) == sample_rate;
      if (!known) break;
    } else if (name == "data" && known) {
      std::vector<Sample> samples(size / (2 * kChannels));
      for (std::size_t n = 0; n < samples.size(); ++n)
        for (std::size_t c = 0; c < kChannels; ++c)
          samples[n][c] =
              static_cast<std::int16_t>(number(content + 2 * (kChannels * n + c), 2)) / 32768.0f;
      return samples;
    }
    place = content + size + size % 2;
  }
  throw std::runtime_error("the recording must have 4 channels (AmbiX) of 16 bits at " +
                           std::to_string(sample_rate) + " Hz");
}

// A Butterworth high-pass of third order, from the steady state of the first sample.
inline std::vector<Sample> highpass(const std::vector<Sample>& sound, double cutoff_hz,
                                    double sample_rate) {
  const double k = std::tan(kPi * cutoff_hz / sample_rate);
  const double scale = 1.0 / (1.0 + k + k * k), gain = scale / (1.0 + k);
  const double a = (k - 1.0) / (k + 1.0), b = 2.0 * (k * k - 1.0) * scale;
  const double c = (1.0 - k + k * k) * scale;
  const double a1 = a + b, a2 = a * b + c, a3 = a * c;
  std::vector<Sample> filtered(sound.size());
  for (std::size_t channel = 0; channel < kChannels && !sound.empty(); ++channel) {
    double x1 = sound[0][channel], x2 = x1, x3 = x1, y1 = 0.0, y2 = 0.0, y3 = 0.0;
    for (std::size_t n = 0; n < sound.size(); ++n) {
      const double x = sound[n][channel];
      const double y = gain * (x - 3.0 * x1 + 3.0 * x2 - x3) - a1 * y1 - a2 * y2 - a3 * y3;
      x3 = x2, x2 = x1, x1 = x;
      y3 = y2, y2 = y1, y1 = y;
      filtered[n][channel] = static_cast<float>(y);
    }
  }
  return filtered;
}

// Discrete Fourier transform in place, of a power of two.
inline void transform(std::vector<std::complex<double>>& values) {
  const std::size_t count = values.size();
  for (std::size_t i = 1, j = 0; i < count; ++i) {
    std::size_t bit = count >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i], values[j]);
  }
  for (std::size_t length = 2; length <= count; length *= 2)
    for (std::size_t k = 0; k < length / 2; ++k) {
      const auto factor = std::polar(1.0, -2.0 * kPi * static_cast<double>(k) / length);
      for (std::size_t i = k; i < count; i += length) {
        const auto other = factor * values[i + length / 2];
        values[i + length / 2] = values[i] - other;
        values[i] += other;
      }
    }
}

// The bins x K features of one frame, written to `features`; `sound` is its first sample.
inline void frame_features(const Sample* sound, const Spec& spec, float* features) {
  const std::size_t length = spec.window_length, bins = spec.bins();
  std::array<std::vector<std::complex<double>>, kChannels> spectra;
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    spectra[channel].resize(length);
    for (std::size_t n = 0; n < length; ++n)
      spectra[channel][n] = std::sin(kPi * (n + 0.5) / length) * sound[n][channel];
    transform(spectra[channel]);
  }
  double mean_power = 0.0, mean_level = 0.0;
  for (std::size_t f = 0; f < bins; ++f) mean_power += std::norm(spectra[0][f]) / bins;
  mean_power = std::max(mean_power, 1e-10);
  std::vector<double> level(bins);
  for (std::size_t f = 0; f < bins; ++f) {
    level[f] = std::log10(std::norm(spectra[0][f]) / mean_power + 1e-6);
    mean_level += level[f] / bins;
  }
  constexpr std::size_t kDipoles[] = {3, 1, 2};  // X, Y, Z
  for (std::size_t f = 0; f < bins; ++f) {
    double energy = 0.0;
    for (const auto& spectrum : spectra) energy += 0.5 * std::norm(spectrum[f]);
    energy = std::max(energy, spec.energy_floor);
    float* bin = features + f * spec.channels;
    for (std::size_t i = 0; i < 3; ++i) {
      const auto intensity = std::conj(spectra[0][f]) * spectra[kDipoles[i]][f] / energy;
      bin[i] = static_cast<float>(intensity.real());
      bin[i + 3] = static_cast<float>(intensity.imag());
    }
    if (spec.has_level) bin[6] = static_cast<float>(0.5 * (level[f] - mean_level));
  }
}
