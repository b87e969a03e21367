/* A load of many clients: one process that asks from up to 65,000 loopback addresses and counts what comes back.
 *
 *   load PORT ADDRESSES SECONDS RATE FILE [LINES]
 *
 * Asks the names of FILE (one a line, behind the first word nothing counts) for A in turn, each from the next of ADDRESSES addresses
 * (127.100.0.1, 127.100.0.2 … as the bench's profiles have them; the first is 127.0.0.1). RATE 0 keeps 400 questions under way; any other
 * RATE sends that many a second whatever comes back (open loop). Only the first LINES lines are asked, each once, when LINES is given.
 * Ends early, in order, when told to (SIGTERM). Prints: sent, answered, seconds, and the share of the time that the generator was busy (percent). Loopback only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <signal.h>

enum { BATCH = 64, ROOM = 300, WINDOW = 400, IDS = 65536 };

static volatile sig_atomic_t is_told;

static void on_term(int signal) {
    (void)signal;
    is_told = 1;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double busy(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct question { unsigned char octets[280]; int length; };

/* The questions of the file, in wire form behind a place for the id. */
static struct question *read_questions(const char *path, int *count) {
    FILE *file = fopen(path, "r");
    char line[300];
    int room = 1 << 14;
    struct question *all = malloc(sizeof *all * (size_t)room);
    if (!file || !all) { perror(path); exit(1); }
    for (*count = 0; fgets(line, sizeof line, file);) {
        if (*count == room && !(all = realloc(all, sizeof *all * (size_t)(room *= 2)))) exit(1);
        struct question *q = &all[*count];
        static const unsigned char head[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
        memcpy(q->octets, head, 12);
        int at = 12;
        line[strcspn(line, " \n")] = 0;
        for (char *save, *label = strtok_r(line, ".", &save); label; label = strtok_r(NULL, ".", &save)) {
            size_t size = strlen(label);
            q->octets[at++] = (unsigned char)size;
            memcpy(q->octets + at, label, size);
            at += (int)size;
        }
        memcpy(q->octets + at, "\0\0\1\0\1", 5);
        q->length = at + 5;
        if (at > 12) ++*count;
    }
    fclose(file);
    return all;
}

static uint32_t address_of(int number) { /* number 0 is 127.0.0.1, the others are the bench's clients */
    return number ? htonl(0x7f640000u + (uint32_t)number) : htonl(INADDR_LOOPBACK);
}

int main(int argc, char **argv) {
    if (argc < 6) { fprintf(stderr, "load PORT ADDRESSES SECONDS RATE FILE [LINES]\n"); return 2; }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGTERM, on_term);
    int addresses = atoi(argv[2]), count, big = 8 << 20;
    double seconds = atof(argv[3]), rate = atof(argv[4]);
    struct question *questions = read_questions(argv[5], &count);
    long most = argc > 6 ? atol(argv[6]) : -1;
    if (most > count) most = count;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET}, there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
    if (bind(fd, (struct sockaddr *)&here, sizeof here)) { perror("bind"); return 1; }

    static unsigned char out[BATCH][ROOM], in[BATCH][2048], waiting[IDS];
    static union { char room[CMSG_SPACE(sizeof(struct in_pktinfo))]; struct cmsghdr align; } control[BATCH];
    static double sent_at[IDS];
    struct mmsghdr heads[BATCH], back[BATCH];
    struct iovec rooms[BATCH], back_rooms[BATCH];
    memset(heads, 0, sizeof heads);
    memset(back, 0, sizeof back);
    for (int i = 0; i < BATCH; i++) {
        rooms[i].iov_base = out[i];
        heads[i].msg_hdr = (struct msghdr){.msg_name = &there, .msg_namelen = sizeof there, .msg_iov = &rooms[i], .msg_iovlen = 1,
                                           .msg_control = control[i].room, .msg_controllen = sizeof control[i].room};
        struct cmsghdr *c = CMSG_FIRSTHDR(&heads[i].msg_hdr);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
        back_rooms[i] = (struct iovec){in[i], sizeof in[i]};
        back[i].msg_hdr = (struct msghdr){.msg_iov = &back_rooms[i], .msg_iovlen = 1};
    }
    long sent = 0, answered = 0, open = 0;
    uint16_t id = 0;
    int client = 0;
    double begun = now(), end = begun + seconds, looked = begun, last = begun;
    for (;;) {
        double at = now();
        int is_over = is_told || at >= end || sent == most;
        if (is_over && (!open || at > last + 1.0)) break;
        long due = is_over ? 0 : rate > 0 ? (long)((at - begun) * rate) - sent : WINDOW - open;
        if (most >= 0 && due > most - sent) due = most - sent;
        int batch = due > BATCH ? BATCH : due > 0 ? (int)due : 0;
        for (int i = 0; i < batch; i++) {
            struct question *q = &questions[(sent + i) % count];
            while (waiting[id] && at - sent_at[id] < 2.0) id++;
            memcpy(out[i], q->octets, (size_t)q->length);
            out[i][0] = (unsigned char)(id >> 8);
            out[i][1] = (unsigned char)id;
            rooms[i].iov_len = (size_t)q->length;
            struct in_pktinfo info = {.ipi_spec_dst.s_addr = address_of(client)};
            memcpy(CMSG_DATA(CMSG_FIRSTHDR(&heads[i].msg_hdr)), &info, sizeof info);
            waiting[id] = 1;
            sent_at[id++] = at;
            if (++client == addresses) client = 0;
        }
        for (int done = 0; done < batch;) {
            int now_sent = sendmmsg(fd, heads + done, (unsigned)(batch - done), 0);
            if (now_sent < 0) { perror("send"); return 1; }
            done += now_sent;
        }
        sent += batch;
        open += batch;
        if (batch) last = at;
        int got = recvmmsg(fd, back, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++) {
            uint16_t which = (uint16_t)(in[i][0] << 8 | in[i][1]);
            if (back[i].msg_len >= 12 && waiting[which]) {
                waiting[which] = 0;
                answered++;
                open--;
            }
        }
        if (got > 0) looked = at;
        else if (rate == 0 && at - looked > 0.2 && open) open = 0, looked = at; /* what was lost does not hold the others up */
        else if (got <= 0 && batch < BATCH) poll(&(struct pollfd){fd, POLLIN, 0}, 1, rate > 0 ? 0 : 1);
    }
    double took = last - begun;
    printf("%ld %ld %.3f %.0f\n", sent, answered, took, 100 * busy() / (now() - begun));
    return 0;
}
