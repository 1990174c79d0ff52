/* An agent as fast as a pipe: what is measured is the server, not the agent.
 *
 * One JSON-RPC object a line. Requests are answered at once with an empty result. Notifications:
 *   bench/burst {"count", "size", "rate"}  writes `count` session/update lines of exactly `size` bytes, newline
 *                                          included (`rate` a second, 0: as fast as they go), then bench/done.
 *   bench/stay  {}                         from now on the end of stdin does not end the program.
 * Each update's text is its number in 10 digits and, at a given rate, the monotonic time it was written at, in 19.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HEAD                                                                                                        \
    "{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{\"sessionId\":\"b\",\"update\":"                \
    "{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":\""
#define TAIL "\"}}}}\n"
#define DONE "{\"jsonrpc\":\"2.0\",\"method\":\"bench/done\",\"params\":{}}\n"

static void put(const char *data, size_t size) {
    while (size > 0) {
        ssize_t written = write(1, data, size);
        if (written <= 0) exit(0);
        data += written;
        size -= (size_t)written;
    }
}

static void rest(long long until_ns) {
    struct timespec when = {until_ns / 1000000000LL, until_ns % 1000000000LL};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) != 0) {}
}

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long number(const char *line, const char *key) {
    const char *at = strstr(line, key);
    return at ? strtol(at + strlen(key), NULL, 10) : 0;
}

static void digits(char *at, int width, long long value) {
    for (int i = width - 1; i >= 0; i--, value /= 10) at[i] = (char)('0' + value % 10);
}

static void burst(long count, long size, long rate) {
    size_t head = strlen(HEAD), tail = strlen(TAIL), least = head + 10 + 1 + 19 + 1 + tail;
    size_t line = (size_t)size < least ? least : (size_t)size;
    size_t fit = rate ? 1 : (line > 262144 ? 1 : 262144 / line);
    char *lines = malloc(fit * line);
    for (size_t i = 0; i < fit; i++) {
        char *at = lines + i * line;
        memcpy(at, HEAD, head);
        memset(at + head, 'x', line - head - tail);
        at[head + 10] = at[head + 30] = ' ';
        digits(at + head + 11, 19, 0);
        memcpy(at + line - tail, TAIL, tail);
    }
    long long begin = now();
    for (long sent = 0; sent < count;) {
        size_t some = (size_t)(count - sent) < fit ? (size_t)(count - sent) : fit;
        for (size_t i = 0; i < some; i++) digits(lines + i * line + head, 10, sent + (long)i);
        if (rate) {
            rest(begin + sent * (1000000000LL / rate));
            digits(lines + head + 11, 19, now());
        }
        put(lines, some * line);
        sent += (long)some;
    }
    free(lines);
    /* A lossy server drops what is old; a mark that comes alone and late is always seen. */
    rest(now() + 300000000LL);
    put(DONE, strlen(DONE));
}

/* The server's core is measured: move to the others, where there are any. */
static void leave_the_core(void) {
    cpu_set_t mine, others;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof mine, &mine) != 0 || CPU_COUNT(&mine) != 1 || cores < 2) return;
    CPU_ZERO(&others);
    for (int core = 0; core < cores; core++)
        if (!CPU_ISSET(core, &mine)) CPU_SET(core, &others);
    sched_setaffinity(0, sizeof others, &others);
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    int stay = 0;
    leave_the_core();
    while (getline(&line, &room, stdin) > 0) {
        if (strstr(line, "\"method\":\"bench/burst\"")) {
            burst(number(line, "\"count\":"), number(line, "\"size\":"), number(line, "\"rate\":"));
        } else if (strstr(line, "\"method\":\"bench/stay\"")) {
            stay = 1;
        } else {
            char *id = strstr(line, "\"id\":"), answer[512];
            if (!id || !strstr(line, "\"method\":")) continue;
            int length = snprintf(answer, sizeof answer, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{}}\n",
                                  (int)strcspn(id + 5, ",}"), id + 5);
            put(answer, (size_t)length);
        }
    }
    while (stay) pause();
    return 0;
}
