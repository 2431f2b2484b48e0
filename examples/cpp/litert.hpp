// What is used of LiteRT's C interface, loaded at run time.
//
// The Python wheel of ai-edge-litert has the library, libLiteRt.so, and no headers, so the few
// functions are declared here, as LiteRT 2.2 and 2.3 have them. The older interface of
// TensorFlow Lite (TfLiteInterpreterCreate and so on) is not in that library.

#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

class LiteRt {
 public:
  using Handle = void*;  // LiteRtEnvironment, LiteRtModel, LiteRtOptions and so on
  using Status = int;    // 0: done

  // LiteRtRankedTensorType: a type of elements and a shape.
  struct TensorType {
    std::int32_t element = 1;  // float32
    std::uint32_t rank = 0;    // and one bit, further up, that says whether there are strides
    std::int32_t dimensions[8] = {};
    std::uint32_t strides[8] = {};
  };
  static_assert(sizeof(TensorType) == 72, "as LiteRT has it");

  explicit LiteRt(const std::string& path) {
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr)
      throw std::runtime_error(std::string("LiteRT cannot be loaded: ") + dlerror());
    if (dlsym(library_, "kLiteRtRuntimeBuiltin") == nullptr)
      throw std::runtime_error(path + " is too old: LiteRT 2.2 or later is needed");
    load(create_environment, "LiteRtCreateEnvironment");
    load(create_model, "LiteRtCreateModelFromBuffer");
    load(create_options, "LiteRtCreateOptions");
    load(set_accelerators, "LiteRtSetOptionsHardwareAccelerators");
    load(compile, "LiteRtCreateCompiledModel");
    load(input_needs, "LiteRtGetCompiledModelInputBufferRequirements");
    load(output_needs, "LiteRtGetCompiledModelOutputBufferRequirements");
    load(needed_bytes, "LiteRtGetTensorBufferRequirementsBufferSize");
    load(wrap_memory, "LiteRtCreateTensorBufferFromHostMemory");
    load(run, "LiteRtRunCompiledModel");
  }

  Status (*create_environment)(int options, const void* none, Handle* environment);
  Status (*create_model)(Handle environment, const void* bytes, std::size_t size, Handle* model);
  Status (*create_options)(Handle* options);
  Status (*set_accelerators)(Handle options, int which);
  Status (*compile)(Handle environment, Handle model, Handle options, Handle* compiled);
  Status (*input_needs)(Handle compiled, std::size_t signature, std::size_t which, Handle* needs);
  Status (*output_needs)(Handle compiled, std::size_t signature, std::size_t which, Handle* needs);
  Status (*needed_bytes)(Handle needs, std::size_t* bytes);
  Status (*wrap_memory)(const TensorType* type, void* memory, std::size_t bytes,
                        void (*free)(void*), Handle* buffer);
  Status (*run)(Handle compiled, std::size_t signature, std::size_t inputs, Handle* input,
                std::size_t outputs, Handle* output);

 private:
  template <typename Function>
  void load(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (function == nullptr) throw std::runtime_error(std::string("LiteRT has no ") + name);
  }

  void* library_ = nullptr;  // stays loaded: the runtime has threads of its own
};

// A network of one input and one output of floats. It lives as long as the program.
class Network {
 public:
  Network(const LiteRt& runtime, std::string flatbuffer, LiteRt::TensorType input,
          LiteRt::TensorType output)
      : runtime_(runtime), flatbuffer_(std::move(flatbuffer)) {
    check(runtime_.create_environment(0, nullptr, &environment_), "create an environment");
    check(runtime_.create_model(environment_, flatbuffer_.data(), flatbuffer_.size(), &model_),
          "read the network");
    check(runtime_.create_options(&options_), "create options");
    check(runtime_.set_accelerators(options_, kProcessor), "choose the processor");
    check(runtime_.compile(environment_, model_, options_, &compiled_), "compile the network");
    input_ = wrap(input, runtime_.input_needs, &input_buffer_);
    output_ = wrap(output, runtime_.output_needs, &output_buffer_);
  }

  float* input() { return input_.get(); }
  const float* output() const { return output_.get(); }

  // From `input` to `output`.
  void run() {
    check(runtime_.run(compiled_, 0, 1, &input_buffer_, 1, &output_buffer_), "run the network");
  }

 private:
  static constexpr int kProcessor = 1;
  static constexpr std::size_t kAlignment = 64, kBeyond = 128;  // bytes; kernels read a little further
  using Memory = std::unique_ptr<float, void (*)(void*)>;
  using Needs = LiteRt::Status (*)(LiteRt::Handle, std::size_t, std::size_t, LiteRt::Handle*);

  static void check(LiteRt::Status status, const std::string& what) {
    if (status != 0)
      throw std::runtime_error("LiteRT cannot " + what + ": status " + std::to_string(status));
  }

  Memory wrap(const LiteRt::TensorType& type, Needs needs_of, LiteRt::Handle* buffer) {
    std::size_t bytes = sizeof(float), needed = 0;
    for (std::uint32_t i = 0; i < type.rank; ++i) bytes *= type.dimensions[i];
    LiteRt::Handle needs = nullptr;
    check(needs_of(compiled_, 0, 0, &needs), "say how large its input and output are");
    check(runtime_.needed_bytes(needs, &needed), "say how large its input and output are");
    if (needed < bytes || needed > bytes + kBeyond)
      throw std::runtime_error("the network must have floats of its spec's shapes: " +
                               std::to_string(bytes) + " bytes, not " + std::to_string(needed));
    const std::size_t whole = (bytes + 2 * kBeyond) / kAlignment * kAlignment;
    Memory memory(static_cast<float*>(std::aligned_alloc(kAlignment, whole)), std::free);
    if (!memory) throw std::bad_alloc();
    check(runtime_.wrap_memory(&type, memory.get(), needed, nullptr, buffer), "use this memory");
    return memory;
  }

  const LiteRt& runtime_;
  const std::string flatbuffer_;
  LiteRt::Handle environment_ = nullptr, model_ = nullptr, options_ = nullptr, compiled_ = nullptr;
  LiteRt::Handle input_buffer_ = nullptr, output_buffer_ = nullptr;
  Memory input_{nullptr, std::free}, output_{nullptr, std::free};
};
