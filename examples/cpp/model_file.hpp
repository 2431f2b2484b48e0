// What a model file holds: the network, and the spec in the zip behind it.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// A value of JSON. Asking for what is not there, or is of another kind, throws.
struct Json {
  enum class Kind { null, boolean, number, text, list, object };

  Kind kind = Kind::null;
  bool boolean = false;
  double number = 0.0;
  std::string text;
  std::vector<Json> list;
  std::map<std::string, Json> object;

  bool has(const std::string& key) const { return object.count(key) > 0; }

  const Json& at(const std::string& key) const {
    const auto found = object.find(key);
    if (found == object.end()) throw std::runtime_error("the model's spec has no \"" + key + "\"");
    return found->second;
  }

  double as_number(const std::string& key, double otherwise) const {
    return has(key) && at(key).kind == Kind::number ? at(key).number : otherwise;
  }

  std::string as_text(const std::string& key, const std::string& otherwise) const {
    return has(key) && at(key).kind == Kind::text ? at(key).text : otherwise;
  }
};

// A reader of JSON as doa_export writes it: escapes other than \" \\ \/ and \n stay as they are.
class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : text_(text) {}

  Json read() {
    Json value = read_value(0);
    if (next() != '\0') fail();
    return value;
  }

 private:
  static constexpr int kDeepest = 50;

  [[noreturn]] void fail() const {
    throw std::runtime_error("the model's spec is not JSON, at byte " + std::to_string(place_));
  }

  char next() {
    while (place_ < text_.size() && std::string(" \t\r\n").find(text_[place_]) != std::string::npos)
      ++place_;
    return place_ < text_.size() ? text_[place_] : '\0';
  }

  void take(char expected) {
    if (next() != expected) fail();
    ++place_;
  }

  bool takes(const std::string& word) {
    if (text_.compare(place_, word.size(), word) != 0) return false;
    place_ += word.size();
    return true;
  }

  std::string read_text() {
    take('"');
    std::string text;
    while (place_ < text_.size() && text_[place_] != '"') {
      if (text_[place_] == '\\' && ++place_ < text_.size()) {
        const char escaped = text_[place_++];
        if (escaped != '"' && escaped != '\\' && escaped != '/' && escaped != 'n') text += '\\';
        text += escaped == 'n' ? '\n' : escaped;
      } else if (place_ < text_.size()) {
        text += text_[place_++];
      }
    }
    take('"');
    return text;
  }

  // The members of a list or an object, one call of `read_member` for each.
  template <typename Member>
  void read_members(char first, char last, Member read_member) {
    take(first);
    while (next() != last) {
      read_member();
      if (next() == ',') {
        ++place_;
      } else if (next() != last) {
        fail();
      }
    }
    take(last);
  }

  Json read_value(int depth) {
    if (depth > kDeepest) fail();
    Json value;
    const char first = next();
    if (first == '{') {
      value.kind = Json::Kind::object;
      read_members('{', '}', [&] {
        next();
        const std::string key = read_text();
        take(':');
        value.object[key] = read_value(depth + 1);
      });
    } else if (first == '[') {
      value.kind = Json::Kind::list;
      read_members('[', ']', [&] { value.list.push_back(read_value(depth + 1)); });
    } else if (first == '"') {
      value.kind = Json::Kind::text;
      value.text = read_text();
    } else if (takes("true") || takes("false")) {
      value.kind = Json::Kind::boolean;
      value.boolean = first == 't';
    } else if (!takes("null") && !takes("NaN")) {
      value.kind = Json::Kind::number;
      std::size_t length = 0;
      try {
        value.number = std::stod(text_.substr(place_, 40), &length);
      } catch (const std::exception&) {
        fail();
      }
      place_ += length;
    }
    return value;
  }

  const std::string& text_;
  std::size_t place_ = 0;
};

// The files in a zip that is stored, not compressed, at the end of `data`.
inline std::map<std::string, std::string> read_zip(const std::string& data) {
  const auto number = [&](std::size_t place, int bytes) {
    if (place > data.size() || data.size() - place < static_cast<std::size_t>(bytes))
      throw std::runtime_error("the model file is damaged: its zip is cut short");
    std::uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i)
      value = value << 8 | static_cast<unsigned char>(data[place + i]);
    return static_cast<std::size_t>(value);
  };
  const std::size_t end = data.rfind(std::string("PK\x05\x06", 4));
  if (end == std::string::npos)
    throw std::runtime_error("the model file has no spec inside: make it by doa_export");
  const std::size_t entries = number(end + 10, 2), size = number(end + 12, 4);
  const std::size_t stated = number(end + 16, 4);
  if (size > end || stated > end - size)
    throw std::runtime_error("the model file is damaged: its zip is cut short");
  const std::size_t moved = end - size - stated;  // where offsets are counted from
  std::map<std::string, std::string> files;
  std::size_t place = end - size;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t method = number(place + 10, 2), bytes = number(place + 20, 4);
    const std::size_t name_length = number(place + 28, 2);
    const std::size_t header = moved + number(place + 42, 4);
    const std::size_t content = header + 30 + number(header + 26, 2) + number(header + 28, 2);
    if (method != 0 || content > data.size() || bytes > data.size() - content)
      throw std::runtime_error("the model file is damaged: its zip cannot be read");
    files[data.substr(place + 46, name_length)] = data.substr(content, bytes);
    place += 46 + name_length + number(place + 30, 2) + number(place + 32, 2);
  }
  return files;
}

// What this example reads of a spec, see docs/conventions.md.
struct Spec {
  std::size_t sample_rate, window_length, hop, frames, channels;
  double energy_floor, resolution_deg, highpass_hz;
  bool has_level, hears_audio, centroid;
  std::vector<std::pair<double, double>> calibration;

  std::size_t bins() const { return window_length / 2 + 1; }
  std::size_t samples() const { return (frames - 1) * hop + window_length; }
};

inline Spec read_spec(const std::string& text) {
  const Json json = JsonReader(text).read();
  const std::string head = json.at("head").text;
  if (head != "gibbs" && head != "gibbs-weighted")
    throw std::runtime_error("this example decodes the heads gibbs and gibbs-weighted, not " + head);
  // An LSTM in one operation keeps its state from window to window. This interface of LiteRT has
  // neither such states nor a way to reset them.
  const Json provenance = json.has("provenance") ? json.at("provenance") : Json{};
  const Json made = provenance.has("export") ? provenance.at("export") : Json{};
  if (made.as_text("lstm", "fused") == "fused")
    throw std::runtime_error(
        "this network's LSTM keeps its state, which LiteRT's compiled models cannot: "
        "take a file made by doa_export --lstm unrolled");
  const Json& features = json.at("features");
  const auto count = [&](const std::string& key) {
    const double value = features.at(key).number;
    if (!(value >= 1.0 && value <= 1e6))
      throw std::runtime_error("the model's spec has no " + key + " that can be");
    return static_cast<std::size_t>(value);
  };
  Spec spec{};
  spec.sample_rate = count("sample_rate");
  spec.window_length = count("window_length");
  spec.hop = count("hop");
  spec.frames = count("frames");
  spec.channels = features.at("channels").list.size();
  spec.has_level = spec.channels == 7;
  if (spec.channels != 6 && !spec.has_level)
    throw std::runtime_error("this example makes the six intensities and the level, no others");
  if (spec.window_length & (spec.window_length - 1) || spec.hop > spec.window_length)
    throw std::runtime_error("this example needs windows whose length is a power of two");
  spec.energy_floor = features.at("energy_floor").number;
  spec.resolution_deg = json.at("resolution_deg").number;
  if (!(spec.resolution_deg >= 1.0 && spec.resolution_deg <= 90.0))
    throw std::runtime_error("the model's grid must have steps of 1 to 90 degrees");
  spec.highpass_hz = json.as_number("highpass_hz", 0.0);
  spec.hears_audio = json.as_text("input", "features") == "audio";
  spec.centroid = json.at("decode").text == "centroid";
  if (json.has("calibration"))
    for (const Json& pair : json.at("calibration").list)
      if (pair.list.size() == 2)
        spec.calibration.emplace_back(pair.list[0].number, pair.list[1].number);
  return spec;
}
