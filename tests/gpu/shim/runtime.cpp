// Runs the threads of a CUDA kernel on the CPU, one after another, in an order that the caller chooses.
//
// Each thread is a fiber with a stack of its own. It runs until it ends or has to wait at a barrier or for its warp, so
// a kernel without barriers is a plain loop over its threads. The warps of a block run one after another, each as far
// as it gets: what needs a barrier and has none shows as results that depend on the order. Whatever goes wrong ends the
// launch with a report; faults of the memory do so too.
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>
#include <ucontext.h>

struct Triple { unsigned x, y, z; };

enum { MOST_THREADS = 1024, WARP = 32 };
enum State : unsigned char { NEW, READY, WAITS_FOR_BLOCK, WAITS_FOR_WARP, DONE };
static const size_t STACK = 256 * 1024, PAGE = 4096;

extern "C" {
Triple cpu_threadIdx, cpu_blockIdx, cpu_blockDim, cpu_gridDim;
char* cpu_dynamic_shared;
int* cpu_status;
int cpu_new_status;

struct Report {
    int kind;  // 0: nothing wrong, 1: said in the text, 2: a fault at the address
    int signal;
    int writes;
    unsigned block[3];
    unsigned thread[3];
    uint64_t address;
    char text[512];
};

struct Launch {
    void (*call)(void**);
    void** arguments;
    unsigned grid[3];
    unsigned block[3];
    char* shared_begin;
    char* shared_end;
    char* dynamic;
    size_t dynamic_bytes;
    int* status;
    int order;  // 0: ascending, 1: descending, 2: shuffled
    int poison;
    uint64_t seed;
};
}

struct Thread {
    void* stack_pointer;
    State state;
    int stack;  // which of the stacks it waits on
    int line;   // where it waits
    int kind, parameter, width, value;
    unsigned mask;
    uint64_t bits;
};

static Thread threads[MOST_THREADS];
static unsigned count, current, waiting, barrier_line, barrier_kind, barrier_sum;
static char* stacks;
static int free_stacks[MOST_THREADS], free_count;
static void* scheduler;
static Launch launch;
static Report* report;
static sigjmp_buf escape;
static volatile sig_atomic_t running;
static uint64_t random_state;

// Switching between stacks ----------------------------------------------------------------------------------------

extern "C" void cpu_switch(void** from, void* to);
#if defined(__x86_64__)
asm(".text\n.globl cpu_switch\n.type cpu_switch,@function\ncpu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
static void* first_frame(char* top, void (*entry)()) {
    void** frame = (void**)top;
    *--frame = nullptr;
    *--frame = (void*)entry;
    for (int saved = 0; saved < 6; ++saved) *--frame = nullptr;
    return frame;
}
#elif defined(__aarch64__)
asm(".text\n.globl cpu_switch\n.type cpu_switch,@function\ncpu_switch:\n"
    "sub sp, sp, #160\nstp x19, x20, [sp]\nstp x21, x22, [sp, #16]\nstp x23, x24, [sp, #32]\nstp x25, x26, [sp, #48]\n"
    "stp x27, x28, [sp, #64]\nstp x29, x30, [sp, #80]\nstp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\n"
    "stp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\nmov x9, sp\nstr x9, [x0]\nmov sp, x1\n"
    "ldp x19, x20, [sp]\nldp x21, x22, [sp, #16]\nldp x23, x24, [sp, #32]\nldp x25, x26, [sp, #48]\n"
    "ldp x27, x28, [sp, #64]\nldp x29, x30, [sp, #80]\nldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\n"
    "ldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\nadd sp, sp, #160\nret\n");
static void* first_frame(char* top, void (*entry)()) {
    char* frame = top - 160;
    memset(frame, 0, 160);
    *(void**)(frame + 88) = (void*)entry;
    return frame;
}
#else
#error "fibers are written for x86-64 and aarch64"
#endif

// Errors ----------------------------------------------------------------------------------------------------------

static void note_place() {
    memcpy(report->block, &cpu_blockIdx, sizeof(report->block));
    memcpy(report->thread, &cpu_threadIdx, sizeof(report->thread));
}

[[noreturn]] static void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->text, sizeof(report->text), format, arguments);
    va_end(arguments);
    report->kind = 1;
    note_place();
    siglongjmp(escape, 1);
}

static void on_fault(int signal, siginfo_t* info, void* context) {
    if (!running) {  // not ours: a kernel runs on one thread of the process
        ::signal(signal, SIG_DFL);
        return;
    }
    report->kind = 2;
    report->signal = signal;
    report->address = (uint64_t)info->si_addr;
    report->writes = -1;
#if defined(__x86_64__)
    report->writes = (((ucontext_t*)context)->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#else
    (void)context;
#endif
    note_place();
    siglongjmp(escape, 1);
}

// Waiting ---------------------------------------------------------------------------------------------------------

static void show_new_status() {
    if (launch.status && cpu_new_status > *launch.status) *launch.status = cpu_new_status;
}

static void wait_as(State state) {
    threads[current].state = state;
    cpu_switch(&threads[current].stack_pointer, scheduler);
}

static void place(unsigned thread) {
    current = thread;
    cpu_threadIdx.x = thread % launch.block[0];
    cpu_threadIdx.y = thread / launch.block[0] % launch.block[1];
    cpu_threadIdx.z = thread / launch.block[0] / launch.block[1];
}

extern "C" int cpu_barrier(int kind, int value, int line) {
    Thread& self = threads[current];
    if (waiting == 0) {
        barrier_line = line;
        barrier_kind = kind;
        barrier_sum = 0;
    } else if ((int)barrier_line != line || (int)barrier_kind != kind) {
        fail("a divergent barrier: this thread waits at line %d, %u others at line %d", line, waiting, barrier_line);
    }
    self.line = line;
    barrier_sum += value != 0;
    if (++waiting == count) {
        unsigned sum = barrier_sum;
        waiting = 0;
        show_new_status();
        for (unsigned thread = 0; thread < count; ++thread) {
            threads[thread].state = READY;
            threads[thread].value = kind == 1 ? sum : kind == 2 ? sum == count : sum != 0;
        }
        wait_as(READY);
    } else {
        wait_as(WAITS_FOR_BLOCK);
    }
    return self.value;
}

static unsigned lanes_of(unsigned warp) {
    unsigned lanes = count - warp * WARP;
    return lanes >= WARP ? 0xffffffffu : (1u << lanes) - 1;
}

extern "C" unsigned cpu_activemask() {
    unsigned first = current / WARP * WARP, mask = 0;
    for (unsigned lane = 0; lane < WARP && first + lane < count; ++lane)
        if (threads[first + lane].state != DONE) mask |= 1u << lane;
    return mask;
}

extern "C" void cpu_trap() { fail("the kernel said __trap()"); }

static unsigned source_of(const Thread& thread, unsigned lane) {
    int first = lane & ~(thread.width - 1), from;
    switch (thread.kind) {
        case 0: return first + (thread.parameter & (thread.width - 1));
        case 1: from = (int)lane - thread.parameter; return from < first ? lane : from;
        case 2: from = (int)lane + thread.parameter; return from >= first + thread.width ? lane : from;
        default: from = lane ^ thread.parameter; return from >= first + thread.width ? lane : from;
    }
}

static uint64_t reduced(int kind, const Thread* lanes, unsigned mask, uint64_t own) {
    unsigned ballot = 0, sum = 0, low = ~0u, high = 0, all = ~0u, any = 0, odd = 0, same = 0;
    int lowest = INT32_MAX, highest = INT32_MIN;
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(mask >> lane & 1)) continue;
        unsigned value = (unsigned)lanes[lane].bits;
        ballot |= (value != 0) << lane;
        same |= (lanes[lane].bits == own) << lane;
        sum += value, all &= value, any |= value, odd ^= value;
        low = value < low ? value : low, high = value > high ? value : high;
        lowest = (int)value < lowest ? (int)value : lowest, highest = (int)value > highest ? (int)value : highest;
    }
    const unsigned results[] = {ballot, ballot, ballot == mask, 0, sum, low, high, (unsigned)lowest, (unsigned)highest,
                                all, any, odd, same};
    return results[kind - 4];
}

static void complete(Thread* lanes, unsigned mask) {
    uint64_t results[WARP];
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(mask >> lane & 1)) continue;
        if (lanes[lane].kind > 3) {
            results[lane] = reduced(lanes[lane].kind, lanes, mask, lanes[lane].bits);
            continue;
        }
        unsigned source = source_of(lanes[lane], lane);
        if (source >= WARP || !(mask >> source & 1))
            fail("a shuffle at line %d: lane %u asks lane %u, which isn't in the mask %#x", lanes[lane].line, lane,
                 source, mask);
        results[lane] = lanes[source].bits;
    }
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(mask >> lane & 1)) continue;
        lanes[lane].bits = results[lane];
        lanes[lane].state = READY;
    }
}

extern "C" uint64_t cpu_warp(int kind, unsigned mask, uint64_t bits, int parameter, int width, int line) {
    Thread& self = threads[current];
    unsigned warp = current / WARP, lane = current % WARP;
    Thread* lanes = threads + warp * WARP;
    if (!(mask >> lane & 1)) fail("line %d: lane %u isn't in its own mask %#x", line, lane, mask);
    if (mask & ~lanes_of(warp)) fail("line %d: the mask %#x names lanes that the block doesn't have", line, mask);
    if (width < 1 || width > WARP || (width & (width - 1))) fail("line %d: a shuffle's width is %d", line, width);
    self.kind = kind, self.mask = mask, self.bits = bits, self.parameter = parameter, self.width = width;
    self.line = line;
    bool all_here = true;
    for (unsigned other = 0; other < WARP; ++other) {
        if (other == lane || !(mask >> other & 1)) continue;
        const Thread& thread = lanes[other];
        if (thread.state == DONE) fail("line %d: lane %u of the mask %#x has ended", line, other, mask);
        if (thread.state != WAITS_FOR_WARP) {
            all_here = false;
        } else if (thread.mask != mask || thread.kind != kind || thread.line != line) {
            fail("line %d: lane %u of the mask %#x waits at line %d, with mask %#x", line, other, mask, thread.line,
                 thread.mask);
        }
    }
    if (all_here) {
        complete(lanes, mask);
        show_new_status();
        wait_as(READY);
    } else {
        wait_as(WAITS_FOR_WARP);
    }
    return self.bits;
}

// The scheduler ---------------------------------------------------------------------------------------------------

static void entry() {
    launch.call(launch.arguments);
    threads[current].state = DONE;
    void* unused;
    cpu_switch(&unused, scheduler);
}

static uint64_t random_below(uint64_t bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % bound;
}

static void put_in_order(unsigned* places, unsigned number) {
    for (unsigned i = 0; i < number; ++i) places[i] = launch.order == 1 ? number - 1 - i : i;
    for (unsigned i = number; launch.order == 2 && i > 1; --i) {
        unsigned other = random_below(i), kept = places[i - 1];
        places[i - 1] = places[other];
        places[other] = kept;
    }
}

static void run_thread(unsigned thread) {
    Thread& self = threads[thread];
    place(thread);
    if (self.state == NEW) {
        self.stack = free_stacks[--free_count];
        self.stack_pointer = first_frame(stacks + (self.stack + 1) * STACK, entry);
    }
    self.state = READY;
    cpu_switch(&scheduler, self.stack_pointer);
    if (self.state == DONE) free_stacks[free_count++] = self.stack;
}

static bool run_warp(unsigned warp) {
    unsigned first = warp * WARP, lanes = count - first, order[WARP];
    if (lanes > WARP) lanes = WARP;
    bool moved = false, again = true;
    while (again) {
        again = false;
        put_in_order(order, lanes);
        for (unsigned i = 0; i < lanes; ++i) {
            Thread& thread = threads[first + order[i]];
            if (thread.state != NEW && thread.state != READY) continue;
            run_thread(first + order[i]);
            again = moved = true;
        }
    }
    return moved;
}

static void report_stuck() {
    unsigned ended = 0, blocked = count;
    for (unsigned thread = 0; thread < count; ++thread) {
        ended += threads[thread].state == DONE;
        if (threads[thread].state == WAITS_FOR_WARP) blocked = thread;
        if (threads[thread].state == WAITS_FOR_BLOCK && blocked == count) blocked = thread;
    }
    if (blocked == count) return;
    place(blocked);
    if (threads[blocked].state == WAITS_FOR_WARP)
        fail("line %d: not all lanes of the mask %#x come here", threads[blocked].line, threads[blocked].mask);
    fail("a barrier at line %d that %u of %u threads reach, and %u have ended", threads[blocked].line, waiting, count,
         ended);
}

static void run_block() {
    unsigned order[MOST_THREADS / WARP], warps = (count + WARP - 1) / WARP;
    memset(launch.shared_begin, launch.poison, launch.shared_end - launch.shared_begin);
    if (launch.dynamic_bytes) memset(launch.dynamic, launch.poison, launch.dynamic_bytes);
    for (unsigned thread = 0; thread < count; ++thread) threads[thread].state = NEW;
    waiting = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        put_in_order(order, warps);
        for (unsigned i = 0; i < warps; ++i) moved |= run_warp(order[i]);
    }
    report_stuck();
    show_new_status();
}

static void run_grid() {
    uint64_t blocks = (uint64_t)launch.grid[0] * launch.grid[1] * launch.grid[2];
    // Blocks go through the grid by a step that has no factor in common with their number.
    uint64_t step = 1, first = 0;
    if (launch.order == 2 && blocks > 2) {
        first = random_below(blocks);
        step = random_below(blocks - 1) + 1;
        for (uint64_t a = step, b = blocks; ; step = step % blocks + 1, a = step, b = blocks) {
            while (b) { uint64_t rest = a % b; a = b; b = rest; }
            if (a == 1) break;
        }
    }
    for (uint64_t i = 0; i < blocks; ++i) {
        uint64_t block = launch.order == 1 ? blocks - 1 - i : (uint64_t)((first + (unsigned __int128)i * step) % blocks);
        cpu_blockIdx.x = block % launch.grid[0];
        cpu_blockIdx.y = block / launch.grid[0] % launch.grid[1];
        cpu_blockIdx.z = block / launch.grid[0] / launch.grid[1];
        run_block();
    }
}

static void make_stacks() {
    if (stacks) return;
    stacks = (char*)mmap(nullptr, MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (int stack = 0; stack < MOST_THREADS; ++stack) mprotect(stacks + stack * STACK, PAGE, PROT_NONE);
}

extern "C" int cpu_launch(const Launch* wanted, Report* found) {
    static char other_stack[64 * 1024];
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction previous[4], ours = {};
    stack_t previous_stack, ours_stack = {};
    launch = *wanted;
    report = found;
    report->kind = 0;
    make_stacks();
    count = launch.block[0] * launch.block[1] * launch.block[2];
    free_count = 0;
    for (int stack = MOST_THREADS - 1; stack >= 0; --stack) free_stacks[free_count++] = stack;
    memcpy(&cpu_blockDim, launch.block, sizeof(cpu_blockDim));
    memcpy(&cpu_gridDim, launch.grid, sizeof(cpu_gridDim));
    cpu_dynamic_shared = launch.dynamic;
    cpu_status = launch.status;
    random_state = launch.seed * 0x9E3779B97F4A7C15ull + 0x2545F4914F6CDD1Dull;
    ours_stack.ss_sp = other_stack;
    ours_stack.ss_size = sizeof(other_stack);
    sigaltstack(&ours_stack, &previous_stack);
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int i = 0; i < 4; ++i) sigaction(signals[i], &ours, &previous[i]);
    if (sigsetjmp(escape, 1) == 0) {
        running = 1;
        cpu_new_status = launch.status ? *launch.status : 0;
        run_grid();
    }
    running = 0;
    for (int i = 0; i < 4; ++i) sigaction(signals[i], &previous[i], nullptr);
    sigaltstack(&previous_stack, nullptr);
    return report->kind;
}
