/* Tries to see or touch what lies outside a sandbox, and prints a table: one attempt a line, a tab, what came of it.
 *
 *     probe [FACT=VALUE ...]     facts about the host, which the test knows: see `fact`
 *
 * Each attempt runs in a process of its own. None can do harm where it is allowed: what would (reboot, kexec, modules,
 * the clock) is asked for with arguments the kernel refuses after it has looked at the caller's privileges, and files
 * that act when written to are only opened. Outcomes are words, so that tables of different runs can be compared:
 * the name of an error, `allowed`, `nothing` (absent or empty), `hidden`, `seen`, or a list.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static char **facts;

/* SECRET a file of the host, SENTINEL a host process and a word of its command line, ABSTRACT the name of a listening
 * abstract socket, PORT a listening port of the host's loopback, CGROUP a control group beside ours, NS_x links. */
static const char *fact(const char *name)
{
    size_t length = strlen(name);
    for (char **at = facts; *at; at++)
        if (!strncmp(*at, name, length) && (*at)[length] == '=')
            return *at + length + 1;
    return "";
}

static void row(const char *name, const char *format, ...)
{
    va_list arguments;
    printf("%s\t", name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

static const char *outcome(long result)
{
    return result < 0 ? strerrorname_np(errno) : "allowed";
}

/* Runs what follows in a child and reports what it exited with: 0 is allowed, others are errnos. */
static void report_child(const char *name, pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) < 0)
        row(name, "?");
    else if (WIFSIGNALED(status))
        row(name, "%s", sigabbrev_np(WTERMSIG(status)));
    else
        row(name, "%s", WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "allowed");
}

#define TRY(name, expression)                                                                                          \
    do {                                                                                                               \
        pid_t child_ = fork();                                                                                         \
        if (child_ == 0) {                                                                                             \
            alarm(10);                                                                                                 \
            errno = 0;                                                                                                 \
            _exit((long)(expression) < 0 ? errno : 0);                                                                 \
        }                                                                                                              \
        report_child(name, child_);                                                                                    \
    } while (0)

static int is_there(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0;
}

static const char *sight(const char *path)
{
    return is_there(path) ? "seen" : "hidden";
}

/* --- who it is ----------------------------------------------------------------------------------------------- */

static void status_fields(void)
{
    static const char *wanted[] = {"Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"};
    char line[4096];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (!value)
            continue;
        *value++ = 0;
        value += strspn(value, " \t");
        value[strcspn(value, "\n")] = 0;
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            if (!strcmp(line, wanted[i])) {
                while (*value && value[strlen(value) - 1] == ' ')
                    value[strlen(value) - 1] = 0;
                row(line, "%s", *value ? value : "none");
            }
    }
    if (file)
        fclose(file);
}

static void descriptors(void)
{
    char list[1024] = "";
    for (int fd = 0; fd < 65536; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            sprintf(list + strlen(list), "%s%d", *list ? " " : "", fd);
    row("open descriptors", "%s", list);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void environment(void)
{
    char *names[256], list[4096] = "";
    int count = 0;
    for (char **at = environ; *at && count < 256; at++) {
        names[count] = strdup(*at);
        names[count][strcspn(*at, "=")] = 0;
        count++;
    }
    qsort(names, count, sizeof *names, by_name);
    for (int i = 0; i < count; i++)
        /* these two are a shell's own */
        if (strcmp(names[i], "PWD") && strcmp(names[i], "SHLVL"))
            sprintf(list + strlen(list), "%s%s", *list ? " " : "", names[i]);
    row("environment", "%s", list);
}

static void namespaces(void)
{
    static const char *kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char path[64], name[64], link[64] = "", key[16];
        sprintf(path, "/proc/self/ns/%s", kinds[i]);
        sprintf(name, "%s namespace", kinds[i]);
        sprintf(key, "NS_%s", kinds[i]);
        if (readlink(path, link, sizeof link - 1) < 0)
            row(name, "%s", outcome(-1));
        else
            row(name, "%s", strcmp(link, fact(key)) ? "own" : "the host's");
    }
}

static void process_state(void)
{
    mode_t mask = umask(0);
    umask(mask);
    row("umask", "%04o", mask);
    char number[32] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDONLY);
    if (read(fd, number, sizeof number - 1) > 0)
        number[strcspn(number, "\n")] = 0;
    row("oom_score_adj", "%s", number);
    close(fd);
    fd = open("/proc/self/oom_score_adj", O_WRONLY);
    row("oom_score_adj, lowering it", "%s", outcome(write(fd, "-1000", 5)));
    close(fd);
    char name[256] = "";
    gethostname(name, sizeof name);
    row("host name", "%s", strcmp(name, fact("HOSTNAME")) ? "own" : "the host's");
    row("controlling terminal", "%s", outcome(open("/dev/tty", O_RDWR)));
    TRY("push input into the terminal (TIOCSTI)", ioctl(0, TIOCSTI, ""));
    struct rlimit limit;
    getrlimit(RLIMIT_NICE, &limit);
    limit.rlim_cur = limit.rlim_max = limit.rlim_max + 1;
    TRY("raise a hard limit", setrlimit(RLIMIT_NICE, &limit));
    TRY("become root (setuid)", setuid(0));
    TRY("become another user (setuid)", setuid(12));
    gid_t group = 7;
    TRY("enter another group (setgroups)", setgroups(1, &group));
}

static long raise_capability(int number)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    data[number / 32].effective |= 1u << (number % 32);
    data[number / 32].permitted |= 1u << (number % 32);
    return syscall(SYS_capset, &header, data);
}

/* --- other processes ----------------------------------------------------------------------------------------- */

static void host_processes(void)
{
    const char *seen = "hidden", *word = fact("SENTINEL");
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        char path[300], line[4096];
        if (!atoi(entry->d_name) || atoi(entry->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        int fd = open(path, O_RDONLY);
        ssize_t length = read(fd, line, sizeof line);
        close(fd);
        if (length > 0 && *word && memmem(line, length, word, strlen(word)) && !memmem(line, length, "SENTINEL=", 9))
            seen = "seen";
    }
    if (proc)
        closedir(proc);
    row("host processes in /proc", "%s", seen);
    TRY("signal a host process", kill(atoi(fact("PID")), 0));
    TRY("trace a host process", ptrace(PTRACE_SEIZE, atoi(fact("PID")), 0, 0));
}

static void through_process_one(void)
{
    char path[4200];
    static const char *doors[] = {"/proc/1/root", "/proc/1/cwd", "/proc/1/cwd/../../../../..", "/proc/self/root/.."};
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++) {
        char name[128];
        snprintf(path, sizeof path, "%s%s", doors[i], fact("SECRET"));
        sprintf(name, "a host file by %s", doors[i]);
        row(name, "%s", sight(path));
    }
    const char *found = "hidden";
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/1/fd/%d%s", fd, fact("SECRET"));
        if (is_there(path))
            found = "seen";
        snprintf(path, sizeof path, "/proc/1/fd/%d/../../../../../..%s", fd, fact("SECRET"));
        if (is_there(path))
            found = "seen";
    }
    row("a host file by /proc/1/fd", "%s", found);
    TRY("environment of process 1", open("/proc/1/environ", O_RDONLY));
    TRY("memory of process 1", open("/proc/1/mem", O_RDWR));
    TRY("program of process 1, to overwrite it", open("/proc/1/exe", O_WRONLY));
    TRY("program of process 1, to read it", open("/proc/1/exe", O_RDONLY));
    TRY("enter process 1's mounts (setns)", setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
    TRY("enter process 1's network (setns)", setns(open("/proc/1/ns/net", O_RDONLY), 0));
    TRY("trace process 1 (ptrace)", ptrace(PTRACE_SEIZE, 1, 0, 0));
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    TRY("read process 1's memory (process_vm_readv)", syscall(SYS_process_vm_readv, 1, &here, 1, &there, 1, 0));
    TRY("take a descriptor of process 1 (pidfd_getfd)", syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, 1, 0), 0, 0));
}

static long trace_own_child(void)
{
    /* a child of its own may be looked into: that is no way out */
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    long result = ptrace(PTRACE_SEIZE, child, 0, 0);
    int error = errno;
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    errno = error;
    return result;
}

/* --- files --------------------------------------------------------------------------------------------------- */

/* What a file that should be hidden gives. */
static void masked(const char *path)
{
    char bytes[64];
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0) {
        row(path, "%s", errno == ENOENT ? "nothing" : outcome(-1));
        return;
    }
    struct stat found;
    fstat(fd, &found);
    if (S_ISDIR(found.st_mode)) {
        int count = 0;
        DIR *directory = fdopendir(fd);
        while (readdir(directory))
            count++;
        closedir(directory);
        row(path, "%s", count > 2 ? "something" : "nothing");
        return;
    }
    ssize_t length = read(fd, bytes, sizeof bytes);
    row(path, "%s", length < 0 ? outcome(-1) : length ? "something" : "nothing");
    close(fd);
}

/* Whether a file that acts when written to could be: it is opened and closed again. */
static void write_protected(const char *path)
{
    int fd = open(path, O_WRONLY | O_NONBLOCK);
    char name[256];
    snprintf(name, sizeof name, "write %s", path);
    row(name, "%s", fd < 0 && errno == ENOENT ? "nothing" : outcome(fd));
    if (fd >= 0)
        close(fd);
}

static void kernel_files(void)
{
    static const char *hidden[] = {
        "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/latency_stats",
        "/proc/acpi", "/proc/asound", "/proc/scsi", "/proc/interrupts", "/proc/kmsg", "/proc/kpagecount", "/dev/core",
        "/dev/mem", "/dev/kmsg", "/dev/port", "/sys/firmware", "/sys/devices/virtual/powercap", "/sys/kernel/debug",
        "/sys/kernel/tracing", "/sys/kernel/security", "/sys/fs/bpf", "/sys/fs/pstore"};
    static const char *protected[] = {
        "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hostname", "/proc/sys/kernel/panic", "/proc/sys/vm/drop_caches",
        "/proc/sys/net/ipv4/ip_forward", "/proc/sys/fs/binfmt_misc/register", "/proc/irq/default_smp_affinity",
        "/proc/bus/pci/devices", "/proc/1/oom_score_adj", "/sys/kernel/uevent_helper", "/sys/power/state",
        "/sys/kernel/mm/ksm/run", "/sys/class/net/lo/mtu", "/sys/fs/cgroup/release_agent",
        "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory/cgroup.procs"};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        masked(hidden[i]);
    for (size_t i = 0; i < sizeof protected / sizeof *protected; i++)
        write_protected(protected[i]);
    uint64_t address = 0;
    FILE *symbols = fopen("/proc/kallsyms", "r");
    char line[512];
    while (symbols && fgets(line, sizeof line, symbols))
        address |= strtoull(line, 0, 16);
    row("kernel addresses in /proc/kallsyms", "%s", address ? "seen" : "hidden");
}

static void control_groups(void)
{
    char line[4096], path[4096];
    const char *found = "hidden", *shown = "hidden";
    static const char *tops[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory",
                                 "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"};
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++) {
        snprintf(path, sizeof path, "%s/%s", tops[i], fact("CGROUP"));
        if (is_there(path))
            found = "seen";
    }
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strrchr(line, ':') + 1;
        if (strcmp(value, "/\n"))
            shown = "seen";
    }
    row("other control groups in /sys/fs/cgroup", "%s", found);
    row("place among control groups (/proc/self/cgroup)", "%s", shown);
    TRY("mount a control group hierarchy", mount("none", "/tmp", "cgroup", 0, "rdma"));
    TRY("mount control groups of version 2", mount("none", "/tmp", "cgroup2", 0, 0));
}

static void mounts(void)
{
    char line[8192];
    FILE *file = fopen("/proc/self/mountinfo", "r");
    const char *seen = "hidden";
    char covered[16384] = "";
    while (file && fgets(line, sizeof line, file)) {
        char root[4096], target[1024], options[512], type[64], source[4096];
        if (*fact("DIRECTORY") && strstr(line, fact("DIRECTORY")) && !strstr(line, " - overlay "))
            seen = "seen";
        if (sscanf(line, "%*s %*s %*s %4095s %1023s %511s", root, target, options) != 3)
            continue;
        char *rest = strstr(line, " - ");
        if (!rest || sscanf(rest, " - %63s %4095s", type, source) != 2)
            continue;
        if (strncmp(target, "/proc", 5) && strncmp(target, "/dev", 4) && strcmp(target, "/"))
            continue;
        if (!strncmp(target, "/proc/", 6) || (!strncmp(target, "/dev/", 5) && !strcmp(type, "devtmpfs"))) {
            sprintf(covered + strlen(covered), "%s%s", *covered ? " " : "", target);
            continue;
        }
        char flags[128] = "";
        for (char *word = strtok(options, ","); word; word = strtok(0, ","))
            if (!strcmp(word, "ro") || !strcmp(word, "rw") || !strcmp(word, "nosuid") || !strcmp(word, "nodev") ||
                !strcmp(word, "noexec"))
                sprintf(flags + strlen(flags), "%s%s", *flags ? "," : "", word);
        char name[1100];
        snprintf(name, sizeof name, "mount %s", target);
        if (!strncmp(target, "/dev/", 5) && strcmp(target, "/dev/pts") && strcmp(target, "/dev/shm") &&
            strcmp(target, "/dev/mqueue"))
            continue;
        struct statvfs size;
        if (!strcmp(target, "/dev/shm") && !statvfs(target, &size))
            sprintf(flags + strlen(flags), ", %lu MB", size.f_blocks * size.f_frsize >> 20);
        row(name, "%s %s", type, flags);
    }
    if (file)
        fclose(file);
    row("host directories among the mounts", "%s", seen);
}

static void devices(void)
{
    struct dirent **found;
    char list[8192] = "";
    int count = scandir("/dev", &found, 0, alphasort);
    for (int i = 0; i < count; i++) {
        struct stat about;
        char path[300];
        if (found[i]->d_name[0] == '.')
            continue;
        sprintf(path, "/dev/%s", found[i]->d_name);
        lstat(path, &about);
        sprintf(list + strlen(list), "%s%s %c%03o", *list ? ", " : "", found[i]->d_name,
                S_ISDIR(about.st_mode) ? 'd' : S_ISLNK(about.st_mode) ? 'l' : S_ISCHR(about.st_mode) ? 'c' : '?',
                about.st_mode & 07777);
    }
    row("/dev", "%s", list);
    *list = 0;
    count = scandir("/dev/pts", &found, 0, alphasort);
    for (int i = 0; i < count; i++)
        if (found[i]->d_name[0] != '.')
            sprintf(list + strlen(list), "%s%s", *list ? " " : "", found[i]->d_name);
    row("/dev/pts", "%s", list);
}

static long node(mode_t type, dev_t device)
{
    unlink("/tmp/probe-node");
    long result = mknod("/tmp/probe-node", type | 0666, device);
    return result;
}

static long open_node(mode_t type, dev_t device)
{
    if (node(type, device) < 0)
        return -1;
    long result = open("/tmp/probe-node", O_RDONLY | O_NONBLOCK);
    int error = errno;
    unlink("/tmp/probe-node");
    errno = error;
    return result;
}

static long break_out_of_chroot(void)
{
    int top = open("/", O_RDONLY | O_DIRECTORY);
    char path[4200];
    if (top < 0 || chroot("/tmp") < 0)
        return -1;
    fchdir(top);
    for (int i = 0; i < 64; i++)
        chdir("..");
    snprintf(path, sizeof path, ".%s", fact("SECRET"));
    errno = ENOENT;
    return is_there(path) ? 0 : -1;
}

static long write_code(void)
{
    /* over its own write-protected page by /proc/self/mem, as debuggers do: no way out */
    static const char constant[4096] __attribute__((aligned(4096))) = "x";
    int fd = open("/proc/self/mem", O_RDWR);
    return fd < 0 ? -1 : pwrite(fd, "y", 1, (off_t)(uintptr_t)constant);
}

static void file_systems(void)
{
    struct {
        uint32_t bytes;
        int32_t type;
        unsigned char handle[128];
    } handle = {8, 1, {0}};
    int place;
    int top = open("/", O_RDONLY | O_DIRECTORY);
    row("a host file by its path", "%s", sight(fact("SECRET")));
    TRY("climb out of a chroot", break_out_of_chroot());
    TRY("write to its own read-only memory", write_code());
    TRY("open a file by its handle", syscall(SYS_open_by_handle_at, top, &handle, O_RDONLY));
    handle.bytes = 128;
    TRY("ask for a handle", syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &place, 0));
    TRY("mount a tmpfs", mount("none", "/tmp", "tmpfs", 0, 0));
    TRY("mount a proc", mount("none", "/tmp", "proc", 0, 0));
    TRY("bind / elsewhere", mount("/", "/tmp", 0, MS_BIND | MS_REC, 0));
    TRY("make /proc/sys writable", mount(0, "/proc/sys", 0, MS_REMOUNT | MS_BIND, 0));
    TRY("make /sys writable", mount(0, "/sys", 0, MS_REMOUNT | MS_BIND, 0));
    TRY("uncover /proc/kcore", umount2("/proc/kcore", MNT_DETACH));
    TRY("uncover what is below /dev", umount2("/dev", MNT_DETACH));
    TRY("share its mounts (MS_SHARED)", mount(0, "/", 0, MS_SHARED | MS_REC, 0));
    TRY("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    TRY("open_tree, a clone", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    TRY("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/dev", AT_FDCWD, "/tmp", 0));
    TRY("mount_setattr", syscall(442, AT_FDCWD, "/", 0, (uint64_t[4]){0, 1, 0, 0}, 32));
    TRY("fspick", syscall(SYS_fspick, AT_FDCWD, "/", 0));
    TRY("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
    TRY("chroot", chroot("/tmp"));
    TRY("make a device node: memory", node(S_IFCHR, makedev(1, 1)));
    TRY("open a device node: memory", open_node(S_IFCHR, makedev(1, 1)));
    TRY("open a device node: kernel log", open_node(S_IFCHR, makedev(1, 11)));
    TRY("open a device node: first loop device", open_node(S_IFBLK, makedev(7, 0)));
    TRY("open a device node: the host's disk", open_node(S_IFBLK, makedev(atoi(fact("MAJOR")), atoi(fact("MINOR")))));
    unlink("/tmp/probe-node");
    close(open("/tmp/probe-file", O_CREAT | O_WRONLY, 0644));
    TRY("set an attribute: trusted", setxattr("/tmp/probe-file", "trusted.overlay.opaque", "y", 1, 0));
    TRY("set an attribute: mark of overlayfs", setxattr("/tmp", "user.overlay.opaque", "x", 1, 0));
    TRY("take the mark of overlayfs away", removexattr("/tmp", "user.overlay.opaque"));
    unlink("/tmp/probe-file");
}

/* --- the kernel ---------------------------------------------------------------------------------------------- */

static long in_new_user_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}

static void namespaces_of_its_own(void)
{
    static const struct {
        const char *name;
        int flag;
    } kinds[] = {{"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"mount", CLONE_NEWNS}, {"network", CLONE_NEWNET},
                 {"pid", CLONE_NEWPID},       {"time", 0x80},        {"uts", CLONE_NEWUTS}};
    TRY("unshare: user", in_new_user_namespace());
    TRY("unshare: user and mount", unshare(CLONE_NEWUSER | CLONE_NEWNS));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[64];
        sprintf(name, "unshare: %s", kinds[i].name);
        TRY(name, unshare(kinds[i].flag));
    }
    TRY("clone: user", ({
            long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
            if (child == 0)
                _exit(0);
            child;
        }));
    TRY("clone3", syscall(SYS_clone3, 0, 0));
}

static long clock_tick(void)
{
    struct timex wrong = {.modes = ADJ_TICK, .tick = 1};
    return adjtimex(&wrong);
}

static void whole_machine(void)
{
    struct timespec wrong = {0, -1};
    char text[16];
    TRY("reboot", syscall(SYS_reboot, 1, 2, 3, 0));
    TRY("kexec_load", syscall(SYS_kexec_load, 0, 1, 0, ~0ul));
    TRY("kexec_file_load", syscall(SYS_kexec_file_load, -1, -1, 0, "", ~0ul));
    TRY("init_module", syscall(SYS_init_module, 0, 0, ""));
    TRY("finit_module", syscall(SYS_finit_module, -1, "", 0));
    TRY("delete_module", syscall(SYS_delete_module, "no_such_module_here", O_NONBLOCK));
    TRY("set the clock (clock_settime)", syscall(SYS_clock_settime, CLOCK_REALTIME, &wrong));
    TRY("set the clock (settimeofday)", syscall(SYS_settimeofday, &(struct timeval){0, -1}, 0));
    TRY("set the clock's tick (adjtimex)", clock_tick());
    TRY("swapon", syscall(SYS_swapon, "/no/such/file", 0));
    TRY("swapoff", syscall(SYS_swapoff, "/no/such/file"));
    TRY("process accounting (acct)", syscall(SYS_acct, "/no/such/file"));
    TRY("disk quotas (quotactl)", syscall(SYS_quotactl, 0x80000500u /* Q_GETINFO */, "/no/such/file", 0, 0));
    TRY("kernel log (syslog)", syscall(SYS_syslog, 10, text, 0));
    TRY("hang the terminal up (vhangup)", syscall(SYS_vhangup));
    TRY("host name (sethostname)", sethostname("probe", 5));
    TRY("domain name (setdomainname)", setdomainname("probe", 5));
    TRY("higher priority (nice)", setpriority(PRIO_PROCESS, 0, -5));
    TRY("real-time scheduling", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}));
    TRY("a capability more: sys_admin", raise_capability(CAP_SYS_ADMIN));
    TRY("a capability more: chown", raise_capability(CAP_CHOWN));
    TRY("watch all files (fanotify_init)", syscall(SYS_fanotify_init, 0, 0));
}

static void rare_calls(void)
{
    char nothing[256] = "";
    TRY("bpf: make a map", syscall(SYS_bpf, 0, nothing, 0));
    TRY("bpf: load a program", syscall(SYS_bpf, 5, nothing, sizeof nothing));
    TRY("perf_event_open", syscall(SYS_perf_event_open, nothing, 0, -1, -1, 0));
    TRY("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    TRY("add_key", syscall(SYS_add_key, "user", "probe", "x", 1, -1));
    TRY("request_key", syscall(SYS_request_key, "user", "probe", 0, 0));
    TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
    TRY("io_uring_setup", syscall(SYS_io_uring_setup, 1, nothing));
    TRY("io_uring_enter", syscall(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0));
    TRY("process_madvise", syscall(SYS_process_madvise, -1, 0, 0, 0, 0));
    TRY("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
    TRY("move_pages", syscall(SYS_move_pages, 0, 0, 0, 0, 0, 0));
    TRY("set_mempolicy", syscall(SYS_set_mempolicy, 0, 0, 0));
    TRY("vmsplice", ({
            int ends[2];
            pipe(ends);
            syscall(SYS_vmsplice, ends[1], &(struct iovec){nothing, 1}, 1, 0);
        }));
    TRY("personality: as it is", syscall(SYS_personality, 0xffffffff));
    TRY("personality: without address randomisation", syscall(SYS_personality, ADDR_NO_RANDOMIZE));
    TRY("trace its own child", trace_own_child());
    TRY("give up gaining privileges (no_new_privs)", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    TRY("lookup_dcookie", syscall(SYS_lookup_dcookie, 0, nothing, 1));
    TRY("nfsservctl", syscall(180, 0, 0, 0));
#ifdef __x86_64__
    TRY("iopl", syscall(SYS_iopl, 3));
    TRY("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
    TRY("modify_ldt", syscall(SYS_modify_ldt, 0, nothing, 0));
    TRY("_sysctl", syscall(SYS__sysctl, 0));
    TRY("uselib", syscall(SYS_uselib, "/no/such/file"));
    TRY("ustat", syscall(SYS_ustat, 0, nothing));
    TRY("a 32-bit call: keyctl", ({
            long result;
            __asm__ volatile("int $0x80" : "=a"(result) : "a"(288), "b"(0), "c"(-3), "d"(0) : "memory");
            if (result < 0)
                errno = -result;
            result;
        }));
    TRY("a 32-bit call: unshare of a user namespace", ({
            long result;
            __asm__ volatile("int $0x80" : "=a"(result) : "a"(310), "b"(CLONE_NEWUSER) : "memory");
            if (result < 0)
                errno = -result;
            result;
        }));
    TRY("an x32 call: keyctl", syscall(0x40000000 | SYS_keyctl, 0, -3, 0));
    TRY("a call of no number", syscall(100000));
#endif
}

/* --- the network --------------------------------------------------------------------------------------------- */

static long abstract_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(address.sun_path + 1, fact("ABSTRACT"), sizeof address.sun_path - 2);
    return connect(fd, (void *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(fact("ABSTRACT")));
}

static long loopback(void)
{
    struct sockaddr_in address = {AF_INET, htons(atoi(fact("PORT"))), {htonl(INADDR_LOOPBACK)}, {0}};
    return connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&address, sizeof address);
}

static long take_loopback_down(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return -1;
    return ioctl(fd, SIOCSIFFLAGS, &request); /* as they are */
}

static long audit(void)
{
    struct {
        struct nlmsghdr head;
        char text[64];
    } message = {{sizeof message, 1000 /* AUDIT_GET */, NLM_F_REQUEST | NLM_F_ACK, 1, 0}, ""};
    struct {
        struct nlmsghdr head;
        int error;
        char rest[512];
    } answer = {0};
    int fd = socket(AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */);
    if (fd < 0 || send(fd, &message, sizeof message, 0) < 0 || recv(fd, &answer, sizeof answer, MSG_DONTWAIT) < 0)
        return -1;
    errno = answer.head.nlmsg_type == NLMSG_ERROR ? -answer.error : 0;
    return errno ? -1 : 0;
}

static long low_port(void)
{
    struct sockaddr_in address = {AF_INET, htons(80), {htonl(INADDR_LOOPBACK)}, {0}};
    return bind(socket(AF_INET, SOCK_STREAM, 0), (void *)&address, sizeof address);
}

static void network(void)
{
    TRY("the host's abstract sockets", abstract_socket());
    TRY("the host's loopback", loopback());
    TRY("change an interface", take_loopback_down());
    TRY("raw socket: ICMP", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    TRY("raw socket: packets", socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
    TRY("socket: vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    TRY("socket: kernel's crypto (AF_ALG)", socket(AF_ALG, SOCK_SEQPACKET, 0));
    TRY("socket: kernel's device events", socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
    TRY("socket: audit", audit());
    TRY("a port below 1024", low_port());
    TRY("join a host's multicast of routes", ({
            struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
            bind(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), (void *)&address, sizeof address);
        }));
}

int main(int count, char **arguments)
{
    (void)count;
    facts = arguments + 1;
    descriptors();
    environment();
    status_fields();
    namespaces();
    process_state();
    host_processes();
    through_process_one();
    kernel_files();
    control_groups();
    mounts();
    devices();
    file_systems();
    namespaces_of_its_own();
    whole_machine();
    rare_calls();
    network();
    return 0;
}
