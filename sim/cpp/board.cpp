// The accelerator on its pins: standard input and output are its serial port.
//
//     board CYCLES_PER_BIT CLOCK_HZ [SAIF] [+OPTION=...]
//
// Time stands still while the accelerator is idle and there is nothing to send; it ends once
// standard input has ended and the accelerator is idle. Bytes that standard output can't take, if it
// doesn't block, are lost as on a line that nobody listens to. With SAIF, if compiled for tracing, the
// toggles of the first run are counted.

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "Top.h"
#include "verilated.h"
#if VM_TRACE_SAIF
#include "verilated_saif_c.h"
#endif

namespace {

constexpr int kReady = 1;
constexpr int kBusy = 2;
constexpr int kBits = 10;            // start, eight data bits, stop
constexpr int kPollEvery = 64;       // cycles
constexpr int kQuietAfter = 100000;  // cycles in which nothing happens

// Puts bytes on a line, a bit for so many cycles.
class Transmitter {
  public:
    explicit Transmitter(int cycles) : cycles_(cycles) {}
    bool idle() const { return left_ == 0; }
    void send(uint8_t byte) {
        frame_ = 1u << 9 | byte << 1;
        left_ = kBits * cycles_;
    }
    int line() {
        if (left_ == 0) return 1;
        const int bit = kBits - 1 - (left_ - 1) / cycles_;
        --left_;
        return frame_ >> bit & 1;
    }

  private:
    const int cycles_;
    unsigned frame_ = 0;
    int left_ = 0;
};

// Takes bytes from a line, sampling each bit in its middle.
class Receiver {
  public:
    explicit Receiver(int cycles) : cycles_(cycles) {}
    bool idle() const { return wait_ == 0; }
    // Returns a byte, or -1.
    int take(int line) {
        if (wait_ == 0) {
            if (line) return -1;
            wait_ = cycles_ / 2;
            bit_ = 0;
            return -1;
        }
        if (--wait_ > 0) return -1;
        if (bit_ == kBits - 1) return line ? byte_ : -1;
        if (bit_ > 0) byte_ = byte_ >> 1 | line << 7;
        ++bit_;
        wait_ = cycles_;
        return -1;
    }

  private:
    const int cycles_;
    int wait_ = 0;
    int bit_ = 0;
    int byte_ = 0;
};

#if VM_TRACE_SAIF
// Counts the toggles of the first run after the accelerator was ready.
class Toggles {
  public:
    Toggles(VerilatedContext& context, Top& top, const char* file)
        : context_(context), file_(file) {
        if (!file) return;
        context.traceEverOn(true);
        top.trace(&trace_, 99);
    }
    void dump() {
        if (counting_) trace_.dump(context_.time() - began_);
    }
    void follow(bool ready, bool busy) {
        was_ready_ |= ready;
        if (file_ && was_ready_ && busy && !counting_) {
            trace_.open(file_);
            counting_ = true;
            began_ = context_.time();
        }
        if (counting_ && !busy) {
            trace_.close();
            counting_ = false;
            file_ = nullptr;
        }
    }

  private:
    VerilatedContext& context_;
    const char* file_;
    VerilatedSaifC trace_;
    uint64_t began_ = 0;
    bool was_ready_ = false;
    bool counting_ = false;
};
#else
class Toggles {
  public:
    Toggles(VerilatedContext&, Top&, const char*) {}
    void dump() {}
    void follow(bool, bool) {}
};
#endif

// Standard input, byte by byte, without waiting for it.
class Input {
  public:
    bool empty() const { return next_ == end_; }
    bool ended() const { return ended_; }
    uint8_t take() { return bytes_[next_++]; }
    // Fetches what there is, waiting up to `timeout` ms for the first byte or the end.
    void fetch(int timeout) {
        pollfd input{STDIN_FILENO, POLLIN, 0};
        if (poll(&input, 1, timeout) <= 0) return;
        const ssize_t count = read(STDIN_FILENO, bytes_, sizeof bytes_);
        ended_ = count <= 0;
        next_ = 0;
        end_ = ended_ ? 0 : count;
    }

  private:
    uint8_t bytes_[4096];
    ssize_t next_ = 0;
    ssize_t end_ = 0;
    bool ended_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    const int cycles_per_bit = argc > 1 ? std::atoi(argv[1]) : 0;
    const double clock_hz = argc > 2 ? std::atof(argv[2]) : 0;
    if (cycles_per_bit < 4 || clock_hz <= 0) {
        std::fprintf(stderr, "usage: board CYCLES_PER_BIT CLOCK_HZ [SAIF], at least 4 cycles\n");
        return 2;
    }
    const uint64_t half_ps = 5e11 / clock_hz;

    VerilatedContext context;
    context.commandArgs(argc, argv);
    Top top{&context};
    Toggles toggles{context, top, argc > 3 && argv[3][0] != '+' ? argv[3] : nullptr};
    Transmitter transmitter{cycles_per_bit};
    Receiver receiver{cycles_per_bit};
    uint64_t cycle = 0;
    uint64_t quiet = 0;
    Input input;

    while (!input.ended() || quiet < kQuietAfter) {
        top.rst = cycle < 8;
        top.rx = transmitter.line();
        for (int clock = 1; clock >= 0; --clock) {
            top.clk = clock;
            top.eval();
            toggles.dump();
            context.timeInc(half_ps);
        }
        ++cycle;

        const int byte = receiver.take(top.tx);
        if (byte >= 0) {
            const uint8_t out = static_cast<uint8_t>(byte);
            if (write(STDOUT_FILENO, &out, 1) != 1 && errno != EAGAIN) break;
        }

        const bool busy = top.leds & kBusy;
        toggles.follow(top.leds & kReady, busy);
        const bool active = busy || !transmitter.idle() || !receiver.idle();
        quiet = active ? 0 : quiet + 1;
        if (input.empty() && !input.ended() && cycle % kPollEvery == 0) {
            input.fetch(quiet > kQuietAfter ? -1 : 0);
        }
        if (transmitter.idle() && !input.empty()) transmitter.send(input.take());
    }
    top.final();
    return 0;
}
