/* The clients: readers of event streams, and posters of requests, many connections on one thread.
 *
 *   load read PORT PATH CONNECTIONS SECONDS        prints "ready" once all streams are open, then one line of JSON
 *   load post PORT PATH CONNECTIONS REQUESTS BODY  BODY holds one %llu for the request's own id; one line of JSON
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_KEPT 512
#define CHUNK_BUFFER 1048576
static char buffer[CHUNK_BUFFER];

struct peer {
    int fd, in_body, chunked, done;
    char head[16384];
    size_t head_size;
    long long body_left;     /* of a body with a length */
    long long chunk_left;    /* > 0: bytes of this chunk; 0: in its size line; < 0: its closing CRLF is skipped */
    char size_line[32];
    size_t size_used;
    char line[LINE_KEPT];    /* the start of the event line being read */
    size_t line_used;
    long long next, count, lost, disorder;
    long long first_ns, last_ns;
    long long sent_ns;
    unsigned long long id;
};

static long long *latencies;
static size_t latency_count, latency_room;

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void note(long long latency) {
    if (latency_count == latency_room) {
        latency_room = latency_room ? latency_room * 2 : 4096;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
    }
    latencies[latency_count++] = latency;
}

static int ascending(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static double percentile_us(double share) {
    if (latency_count == 0) return 0;
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    return (double)latencies[(size_t)((double)(latency_count - 1) * share)] / 1000.0;
}

static int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void transmit(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) fail("send");
        data += sent;
        size -= (size_t)sent;
    }
}

/* One line of an event stream, cut to LINE_KEPT. */
static void event_line(struct peer *p) {
    if (p->line_used < 5 || memcmp(p->line, "data:", 5) != 0) return;
    char *text = memmem(p->line, p->line_used, "\"text\":\"", 8);
    if (!text) {
        if (memmem(p->line, p->line_used, "bench/done", 10)) p->done = 1;
        return;
    }
    long long number = strtoll(text + 8, NULL, 10), at = now(), written = strtoll(text + 19, NULL, 10);
    if (number < p->next) p->disorder++;
    else {
        p->lost += number - p->next;
        p->next = number + 1;
    }
    if (p->count++ == 0) p->first_ns = at;
    p->last_ns = at;
    if (written) note(at - written);
}

static void event_bytes(struct peer *p, const char *data, size_t size) {
    while (size > 0) {
        const char *end = memchr(data, '\n', size);
        size_t part = end ? (size_t)(end - data) : size, room = LINE_KEPT - 1 - p->line_used;
        size_t kept = part < room ? part : room;
        memcpy(p->line + p->line_used, data, kept);
        p->line_used += kept;
        if (!end) return;
        p->line[p->line_used] = 0;
        event_line(p);
        p->line_used = 0;
        data = end + 1;
        size -= part + 1;
    }
}

/* Takes the chunk frames off (RFC 9112, 7.1); returns 1 at the last chunk. */
static int unchunk(struct peer *p, const char *data, size_t size, void (*sink)(struct peer *, const char *, size_t)) {
    while (size > 0) {
        if (p->chunk_left > 0) {
            size_t part = size < (size_t)p->chunk_left ? size : (size_t)p->chunk_left;
            if (sink) sink(p, data, part);
            data += part;
            size -= part;
            if ((p->chunk_left -= (long long)part) == 0) p->chunk_left = -2;
        } else if (p->chunk_left < 0) {
            data++;
            size--;
            p->chunk_left++;
        } else {
            char c = *data++;
            size--;
            if (c != '\n') {
                if (p->size_used < sizeof p->size_line - 1) p->size_line[p->size_used++] = c;
                continue;
            }
            p->size_line[p->size_used] = 0;
            if (p->size_used == 1) { /* the empty line after the last chunk */
                p->size_used = 0;
                return 1;
            }
            p->size_used = 0;
            p->chunk_left = strtoll(p->size_line, NULL, 16);
        }
    }
    return 0;
}

/* Gathers the head; returns how many bytes of data it took, and sets in_body at its end. */
static size_t head_bytes(struct peer *p, const char *data, size_t size) {
    size_t old = p->head_size, part = size < sizeof p->head - 1 - old ? size : sizeof p->head - 1 - old;
    memcpy(p->head + old, data, part);
    p->head_size += part;
    p->head[p->head_size] = 0;
    char *end = strstr(p->head, "\r\n\r\n");
    if (!end) {
        if (p->head_size == sizeof p->head - 1) fail("a head too long");
        return part;
    }
    size_t taken = (size_t)(end + 4 - p->head) - old;
    end[2] = 0;
    if (strncmp(p->head, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "load: %.*s\n", (int)strcspn(p->head, "\r"), p->head);
        exit(1);
    }
    char *length = strcasestr(p->head, "\r\ncontent-length:");
    p->chunked = strcasestr(p->head, "\r\ntransfer-encoding: chunked") != NULL;
    p->body_left = length ? strtoll(length + 17, NULL, 10) : -1;
    p->in_body = 1;
    p->head_size = 0;
    p->chunk_left = 0;
    p->size_used = 0;
    return taken;
}

static void watch(int loop, struct peer *p) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, p->fd, &event) != 0) fail("epoll");
}

static int read_streams(int port, const char *path, int connections, double seconds) {
    struct peer *peers = calloc((size_t)connections, sizeof *peers);
    int loop = epoll_create1(0), opened = 0, open = connections;
    char request[1024];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n", path, port);
    for (int i = 0; i < connections; i++) {
        peers[i].fd = dial(port);
        transmit(peers[i].fd, request, (size_t)length);
        watch(loop, &peers[i]);
    }
    long long until = now() + (long long)(seconds * 1e9);
    while (open > 0 && now() < until) {
        struct epoll_event events[64];
        int ready = epoll_wait(loop, events, 64, 100);
        for (int i = 0; i < ready; i++) {
            struct peer *p = events[i].data.ptr;
            ssize_t got = recv(p->fd, buffer, sizeof buffer, 0);
            size_t at = 0;
            if (got > 0 && !p->in_body) {
                at = head_bytes(p, buffer, (size_t)got);
                if (p->in_body && ++opened == connections) {
                    puts("ready");
                    fflush(stdout);
                }
            }
            if (got > 0 && p->in_body) {
                if (p->chunked) unchunk(p, buffer + at, (size_t)got - at, event_bytes);
                else event_bytes(p, buffer + at, (size_t)got - at);
            }
            if (got <= 0 || p->done) {
                epoll_ctl(loop, EPOLL_CTL_DEL, p->fd, NULL);
                close(p->fd);
                open--;
            }
        }
    }
    long long count = 0, lost = 0, disorder = 0, first = 0, last = 0;
    int done = 0;
    for (int i = 0; i < connections; i++) {
        struct peer *p = &peers[i];
        count += p->count;
        lost += p->lost;
        disorder += p->disorder;
        done += p->done;
        if (p->count && (!first || p->first_ns < first)) first = p->first_ns;
        if (p->last_ns > last) last = p->last_ns;
    }
    printf("{\"delivered\":%lld,\"missed\":%lld,\"disorder\":%lld,\"done\":%d,\"first_ns\":%lld,\"last_ns\":%lld,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           count, lost, disorder, done, first, last, percentile_us(0.5), percentile_us(0.99));
    return 0;
}

static void ask(struct peer *p, int port, const char *path, const char *body, unsigned long long id) {
    char content[2048], request[4096];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int size = snprintf(content, sizeof content, body, id);
#pragma GCC diagnostic pop
    int length = snprintf(request, sizeof request,
                          "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                          "Accept: application/json\r\nContent-Length: %d\r\n\r\n%s",
                          path, port, size, content);
    p->in_body = 0;
    p->head_size = 0;
    p->line_used = 0;
    p->id = id;
    p->sent_ns = now();
    transmit(p->fd, request, (size_t)length);
}

static void keep(struct peer *p, const char *data, size_t size) {
    size_t room = LINE_KEPT - 1 - p->line_used, part = size < room ? size : room;
    memcpy(p->line + p->line_used, data, part);
    p->line_used += part;
    p->line[p->line_used] = 0;
}

static int post_requests(int port, const char *path, int connections, long long requests, const char *body) {
    struct peer *peers = calloc((size_t)connections, sizeof *peers);
    int loop = epoll_create1(0);
    unsigned long long id = 1000;
    long long asked = 0, answered = 0, wrong = 0, begin = now();
    for (int i = 0; i < connections && asked < requests; i++, asked++) {
        peers[i].fd = dial(port);
        watch(loop, &peers[i]);
        ask(&peers[i], port, path, body, id++);
    }
    while (answered < requests) {
        struct epoll_event events[64];
        int ready = epoll_wait(loop, events, 64, 10000);
        if (ready == 0) break; /* hung: what is missing shows in the count */
        for (int i = 0; i < ready; i++) {
            struct peer *p = events[i].data.ptr;
            ssize_t got = recv(p->fd, buffer, sizeof buffer, 0);
            if (got <= 0) fail("closed");
            size_t at = p->in_body ? 0 : head_bytes(p, buffer, (size_t)got);
            int whole = 0;
            if (p->in_body && p->chunked) whole = unchunk(p, buffer + at, (size_t)got - at, keep);
            else if (p->in_body) {
                keep(p, buffer + at, (size_t)got - at);
                whole = (p->body_left -= got - (ssize_t)at) <= 0;
            }
            if (!whole) continue;
            note(now() - p->sent_ns);
            answered++;
            char *echoed = strstr(p->line, "\"id\":");
            if (!echoed || strtoull(echoed + 5, NULL, 10) != p->id) wrong++;
            if (asked < requests) {
                asked++;
                ask(p, port, path, body, id++);
            }
        }
    }
    double seconds = (double)(now() - begin) / 1e9;
    printf("{\"answered\":%lld,\"missed\":%lld,\"wrong\":%lld,\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           answered, requests - answered, wrong, seconds, percentile_us(0.5), percentile_us(0.99));
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "read") == 0)
        return read_streams(atoi(argv[2]), argv[3], atoi(argv[4]), atof(argv[5]));
    if (argc == 7 && strcmp(argv[1], "post") == 0)
        return post_requests(atoi(argv[2]), argv[3], atoi(argv[4]), atoll(argv[5]), argv[6]);
    fputs("usage: load read PORT PATH CONNECTIONS SECONDS | load post PORT PATH CONNECTIONS REQUESTS BODY\n", stderr);
    return 2;
}
