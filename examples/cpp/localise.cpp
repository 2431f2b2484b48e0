// Where a voice comes from, in C++ without Python: one line of JSON a window, with the fields and
// the numbers of `doa_edge run --talkers 1 --input RECORDING.wav`.
//
//   ./localise MODEL.tflite RECORDING.wav [--library libLiteRt.so] [--digits 2]

#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>

#include "answer.hpp"
#include "litert.hpp"
#include "model_file.hpp"
#include "sound.hpp"

namespace {

constexpr std::size_t kFramesBetween = 5;  // of one estimate and the next
constexpr double kLevelHighpassHz = 30.0;  // of levels, where the spec names no cutoff
constexpr double kGate = 1e-6, kMargin = 1.9952623149688795;  // -60 dBFS, 3 dB, as powers
constexpr double kLeast = 1e-12;                               // -120 dBFS

struct Options {
  std::string model, recording, library = "libLiteRt.so";
  int digits = 2;
};

Options read_options(int count, char** words) {
  Options options;
  std::vector<std::string> files;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if ((word == "--library" || word == "--digits") && i + 1 == count)
      throw std::runtime_error(word + " needs a value");
    if (word == "--library") {
      options.library = words[++i];
    } else if (word == "--digits") {
      const std::string digits = words[++i];
      if (digits.size() != 1 || digits[0] < '0' || digits[0] > '9')
        throw std::runtime_error("--digits must be 0 to 9. Received: " + digits);
      options.digits = digits[0] - '0';
    } else {
      files.push_back(word);
    }
  }
  if (files.size() != 2)
    throw std::runtime_error("usage: localise MODEL.tflite RECORDING.wav [--library LIBRARY] [--digits N]");
  options.model = files[0];
  options.recording = files[1];
  return options;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string data{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file || data.empty()) throw std::runtime_error(path + " cannot be read, or is empty");
  return data;
}

// A number as Python prints it when it was rounded: no zeros at its end, one behind the point.
std::string rounded(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  std::string number = text;
  if (number.find('.') == std::string::npos) number += ".0";
  while (number.back() == '0' && number[number.size() - 2] != '.') number.pop_back();
  return number == "-0.0" ? "0.0" : number;
}

void print(double time_s, const Answer& answer, bool active, double power, int digits) {
  const Vector& u = answer.direction;
  const std::string azimuth = rounded(std::atan2(u[1], u[0]) * 180.0 / kPi, digits);
  const double elevation = std::atan2(u[2], std::hypot(u[0], u[1])) * 180.0 / kPi;
  std::printf(
      "{\"time_s\": %s, \"azimuth_deg\": %s, \"elevation_deg\": %s, \"confidence\": %s, "
      "\"active\": %s, \"level_dbfs\": %s}\n",
      rounded(time_s, 6).c_str(), azimuth == "-180.0" ? "180.0" : azimuth.c_str(),
      rounded(elevation, digits).c_str(), rounded(answer.confidence, 4).c_str(),
      active ? "true" : "false", rounded(10.0 * std::log10(std::max(power, kLeast)), 2).c_str());
}

// Mean square of W from `first` to `last`.
double mean_power(const std::vector<Sample>& sound, std::size_t first, std::size_t last) {
  double sum = 0.0;
  for (std::size_t n = first; n < last; ++n) sum += static_cast<double>(sound[n][0]) * sound[n][0];
  return sum / static_cast<double>(last - first);
}

LiteRt::TensorType tensor(std::initializer_list<std::size_t> shape) {
  LiteRt::TensorType type;
  for (const std::size_t size : shape) type.dimensions[type.rank++] = static_cast<std::int32_t>(size);
  return type;
}

// What the network hears of the window that begins at `start`.
void fill(float* input, const std::vector<Sample>& heard, std::size_t start, const Spec& spec) {
  if (spec.hears_audio) {
    for (std::size_t n = 0; n < spec.samples(); ++n)
      std::copy(heard[start + n].begin(), heard[start + n].end(), input + n * kChannels);
    return;
  }
  for (std::size_t frame = 0; frame < spec.frames; ++frame)
    frame_features(&heard[start + frame * spec.hop], spec, input + frame * spec.bins() * spec.channels);
}

std::vector<double> mean_scores(const float* output, std::size_t frames, std::size_t cells) {
  std::vector<double> scores(cells);
  for (std::size_t i = 0; i < frames * cells; ++i) {
    if (!std::isfinite(output[i])) throw std::runtime_error("the network's outputs are not finite");
    scores[i % cells] += output[i] / static_cast<double>(frames);
  }
  return scores;
}

void localise(const Options& options) {
  const std::string model = read_file(options.model);
  const auto files = read_zip(model);
  if (!files.count("doa_spec.json") || !files.count("doa_flatbuffer.json"))
    throw std::runtime_error(options.model + " has no spec inside: make it by doa_export");
  const Spec spec = read_spec(files.at("doa_spec.json"));
  const double size = JsonReader(files.at("doa_flatbuffer.json")).read().at("size").number;
  if (!(size > 0.0 && size < static_cast<double>(model.size())))
    throw std::runtime_error(options.model + " is damaged: its network has no size that can be");
  const auto sound = read_wav(read_file(options.recording), spec.sample_rate);
  if (sound.size() < spec.samples())
    throw std::runtime_error("the recording must last " + std::to_string(spec.samples()) +
                             " samples or more, one window of the network");
  const double level_hz = spec.highpass_hz > 0.0 ? spec.highpass_hz : kLevelHighpassHz;
  const auto filtered = highpass(sound, level_hz, static_cast<double>(spec.sample_rate));
  const auto& heard = spec.highpass_hz > 0.0 ? filtered : sound;

  const auto cells = sphere_grid(spec.resolution_deg);
  const auto input = spec.hears_audio ? tensor({1, spec.samples(), kChannels})
                                      : tensor({1, spec.frames, spec.bins(), spec.channels});
  const LiteRt runtime(options.library);
  Network network(runtime, model.substr(0, static_cast<std::size_t>(size)), input,
                  tensor({1, spec.frames, cells.size()}));
  const double rate = static_cast<double>(spec.sample_rate);
  NoiseFloor floor(static_cast<double>(spec.hop) / rate);
  const double least_confidence = spec.calibration.empty() ? 0.07 : 0.4;
  const std::size_t step = kFramesBetween * spec.hop;
  for (std::size_t end = spec.samples(); end <= sound.size(); end += step) {
    const std::size_t start = end - spec.samples();
    fill(network.input(), heard, start, spec);
    network.run();
    Answer answer = decode(mean_scores(network.output(), spec.frames, cells.size()), cells, spec);
    const std::size_t hops = (start == 0 ? spec.samples() : step) / spec.hop;
    for (std::size_t hop = hops; hop > 0; --hop)
      floor.update(mean_power(filtered, end - hop * spec.hop, end - (hop - 1) * spec.hop));
    const double power = mean_power(filtered, start, end);
    answer.confidence = power > kGate ? calibrate(answer.confidence, spec.calibration) : 0.0;
    const bool active = power > kGate && (!floor.is_known() || power >= kMargin * floor.power()) &&
                        answer.confidence >= least_confidence;
    print(static_cast<double>(end) / rate, answer, active, power, options.digits);
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    localise(read_options(count, words));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "localise: %s\n", error.what());
    return 2;
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
