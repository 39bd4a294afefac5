// SPDX-License-Identifier: Apache-2.0
/// cfsctl mount, and mount.cubefs.
///
/// Purpose  Checks the place, lets the daemon open the volume first, so that a mistake is told in
///          words and nothing is half done; then mounts through the kernel or FUSE.
/// Failure  One line; exit codes of output.h, as a helper those of mount(8).
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <optional>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/kernel_mount.h"
#include "tools/cfsctl/mount_plan.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {
namespace {

constexpr int kPrepareLimitMs = 180'000;

struct MountArgs {
  std::string source;
  std::string directory;
  std::vector<std::string> options;
  std::string owner;
  std::string front;
  bool quiet = false;
  bool check_only = false;  ///< mount(8) -f
};

/// The way the mount goes, and why in a few words.
struct Choice {
  FrontKind front = FrontKind::kAuto;
  std::string reason;
};

std::string what_of(const MountArgs& args) {
  return "cannot mount " + args.source;
}

// ---------------------------------------------------------------- checks

Result<MountPlan> make_plan(const MountArgs& args) {
  MountPlan plan;
  Result<void> done = parse_source(args.source, plan);
  for (const std::string& list : args.options) {
    if (done) done = parse_options(list, plan);
  }
  if (!done) return done.error();
  if (!args.owner.empty()) plan.config.owner = args.owner;
  if (!args.front.empty()) {
    const auto front = parse_front(args.front);
    if (!front) return front.error();
    plan.front = *front;
  }
  done = parse_options("", plan);
  if (!done) return done.error();
  const auto judged = MountConfig::parse(plan.config.format());
  if (!judged) return judged.error();
  plan.config = *judged;
  return plan;
}

std::optional<Problem> check_directory(const MountArgs& args, const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) < 0) {
    if (errno == ENOENT) {
      return Problem{kFailed, what_of(args), "the directory " + path + " does not exist",
                     "create it with 'mkdir -p " + path + "'"};
    }
    if (errno == ENOTCONN) {
      return Problem{kFailed, what_of(args), path + " holds a FUSE mount whose daemon died",
                     "remove it with 'cfsctl umount -l " + path + "'"};
    }
    return Problem{kFailed, what_of(args), path + ": " + std::strerror(errno), "name a directory"};
  }
  if (!S_ISDIR(st.st_mode)) {
    return Problem{kFailed, what_of(args), path + " is not a directory", "name a directory"};
  }
  return std::nullopt;
}

std::optional<Problem> check_free(const MountArgs& args, const std::string& path) {
  const auto there = find_mount(path);
  if (!there) return std::nullopt;
  return Problem{kFailed, what_of(args), path + " is already a mount of " + there->source,
                 "unmount it first with 'cfsctl umount " + path + "'"};
}

/// The mount table is asked before the path is touched: a hung mount must not hang this.
std::optional<Problem> check_place(const MountArgs& args, const std::string& path,
                                   std::string& canonical) {
  if (auto taken = check_free(args, path)) return taken;
  if (auto bad = check_directory(args, path)) return bad;
  std::error_code failed;
  canonical = std::filesystem::canonical(path, failed).string();
  if (failed) return Problem{kFailed, what_of(args), path + ": " + failed.message(), ""};
  return check_free(args, canonical);
}

// ---------------------------------------------------------------- front end

Either<Choice> choose_kernel(const MountArgs& args) {
  if (!has_sys_admin()) {
    return Problem{kFailed, what_of(args), "a kernel mount needs CAP_SYS_ADMIN", "run it as root"};
  }
  const Result<void> module = ensure_module();
  if (!module) {
    return Problem{kAbsent, what_of(args), module.error().what,
                   "load it with 'cfsctl module load', or mount with '--frontend fuse'"};
  }
  return Choice{FrontKind::kKernel, "kernel module"};
}

Either<Choice> choose_fuse(const MountArgs& args, const std::string& reason) {
  if (::access("/dev/fuse", F_OK) != 0) {
    return Problem{kAbsent, what_of(args), reason + ", and /dev/fuse does not exist either",
                   "load the cubefs or the fuse module"};
  }
  return Choice{FrontKind::kFuse, reason};
}

Either<Choice> choose_front(const MountArgs& args, const MountPlan& plan) {
  if (plan.front == FrontKind::kFuse && plan.fsc) {
    return Problem{kUsage, what_of(args), "fsc needs the kernel front end",
                   "leave out fsc, or '--frontend fuse'"};
  }
  if (plan.front == FrontKind::kFuse) return choose_fuse(args, "FUSE, as asked");
  Either<Choice> kernel = choose_kernel(args);
  const bool only = plan.front == FrontKind::kKernel || plan.fsc;
  if (only || std::holds_alternative<Choice>(kernel)) return kernel;
  return choose_fuse(args, "FUSE, because " + std::get<Problem>(kernel).why);
}

// ---------------------------------------------------------------- the mount

/// What to try next, for errors whose sentence does not say it.
std::string advice(int code) {
  switch (code) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return "check the master's address and port";
    case ETIMEDOUT:
      return "check that the master is up and that no firewall is in between";
    case EACCES:
      return "name the volume's owner with --owner";
    case ENOENT:
      return "check the names; 'cfsctl cluster volume list' shows volumes";
    case ENOTDIR:
      return "name a directory of the volume";
    case EOPNOTSUPP:
      return "use a volume that stores replicas";
    case EINVAL:
      return "correct it and try again";
    default:
      return "see the daemon's log";
  }
}

/// The daemon's sentence without what this program says itself or a reader need not know.
std::string plain_text(const Error& why) {
  std::string text = why.what.empty() ? std::strerror(why.code) : why.what;
  // "cannot mount" has been said
  if (text.rfind("mount of volume ", 0) == 0) text = text.substr(text.find(": ") + 2);
  const bool subdir = text.rfind("sub-directory ", 0) == 0;
  if (subdir && why.code == ENOENT)
    text = text.substr(0, text.find("\": ") + 1) + " does not exist";
  return text;
}

Problem refused(const MountArgs& args, const Error& why) {
  const std::string text = plain_text(why);
  const bool complete = text.find("; ") != std::string::npos;
  const bool subdir = why.code == ENOENT && text.rfind("sub-directory ", 0) == 0;
  const std::string next = subdir ? "mount the volume without it and create it" : advice(why.code);
  return {kFailed, what_of(args), text, complete ? "" : next};
}

/// Wrong use rather than a failure: nothing was contacted.
Problem misused(const MountArgs& args, const Error& why) {
  return {kUsage, what_of(args), why.what, "see 'cfsctl mount --help'"};
}

Result<void> mount_kernel(AdminClient& daemon, const MountPlan& plan, const std::string& path) {
  Result<void> mounted = kernel_mount(plan, path);
  if (mounted) return mounted;
  // the kernel knows an errno only; the daemon may know the sentence
  const auto said = daemon.call(admin::kLastError, Json{{"config", plan.config.format()}});
  const std::string text = said ? admin::text_or(*said, "text", "") : "";
  return text.empty() ? mounted : Result<void>(make_error(mounted.code(), text));
}

Result<void> mount_fuse(AdminClient& daemon, const MountPlan& plan, const std::string& path) {
  const Json args{
      {"config", plan.config.format()},     {"mount_point", path}, {"source", plan.source()},
      {"read_only", plan.config.read_only}, {"acl", plan.acl},     {"flags", plan.fuse_flags}};
  const auto mounted = daemon.call(admin::kFuseMount, args, kPrepareLimitMs);
  return mounted ? Result<void>{} : Result<void>(mounted.error());
}

/// Let the daemon open the volume: all that can be wrong with the cluster is found here.
Result<void> prepare(AdminClient& daemon, const MountPlan& plan, FrontKind front) {
  const Progress progress("contacting " + plan.source());
  const Json args{{"config", plan.config.format()},
                  {"frontend", front == FrontKind::kKernel ? "kernel" : "fuse"}};
  const auto prepared = daemon.call(admin::kPrepare, args, kPrepareLimitMs);
  return prepared ? Result<void>{} : Result<void>(prepared.error());
}

int remount(const MountArgs& args, const MountPlan& plan, const std::string& path) {
  const auto there = find_mount(path);
  if (!there || !there->is_kernel()) {
    return report({kFailed, "cannot remount " + path, "it is not a kernel mount of CubeFS",
                   "'cfsctl mounts' lists them"});
  }
  const Result<void> done = kernel_remount(plan, path);
  return done ? static_cast<int>(kDone) : report(refused(args, done.error()));
}

int run_mount(const Context& context, const MountArgs& args) {
  const auto plan = make_plan(args);
  if (!plan) return report(misused(args, plan.error()));
  const std::string path = absolute_path(args.directory);
  if (plan->remount) return remount(args, *plan, path);
  std::string place;
  if (const auto problem = check_place(args, path, place)) return report(*problem);
  const Either<Choice> choice = choose_front(args, *plan);
  if (const auto* problem = std::get_if<Problem>(&choice)) return report(*problem);
  if (args.check_only) return kDone;
  auto reached = reach_or_start_daemon(context.socket, what_of(args));
  if (const auto* problem = std::get_if<Problem>(&reached)) return report(*problem);
  auto& daemon = std::get<AdminClient>(reached);
  const auto& [front, reason] = std::get<Choice>(choice);
  Result<void> done = prepare(daemon, *plan, front);
  if (done) {
    done = front == FrontKind::kKernel ? mount_kernel(daemon, *plan, place)
                                       : mount_fuse(daemon, *plan, place);
  }
  if (!done) return report(refused(args, done.error()));
  if (!args.quiet)
    std::cout << plan->source() << " is mounted on " << place << " (" << reason << ")\n";
  return kDone;
}

constexpr const char* kExamples =
    "  cfsctl mount vol1@10.0.0.1,10.0.0.2 /mnt/vol1 --owner alice\n"
    "  cfsctl mount vol1@master.example:17010:/projects /mnt/p -o ro,attrvalid=60\n"
    "  mount -t cubefs vol1@10.0.0.1 /mnt/vol1 -o owner=alice,noatime\n"
    "Options of -o (those of mount(8) as well: ro, noatime, nosuid, ...):\n"
    "  owner=NAME         owner of the volume; the volume's own if left out\n"
    "  subdir=PATH        this directory of the volume becomes the root\n"
    "  frontend=WHICH     auto, kernel or fuse (auto)\n"
    "  attrvalid=S        attributes are believed for S seconds (30)\n"
    "  lookupvalid=S      names are believed for S seconds (5)\n"
    "  metatimeout=S      a metadata operation ends after S seconds, however slow the servers "
    "(600)\n"
    "  soft, hard         kernel: calls fail after the deadline, or only while no daemon runs "
    "(hard)\n"
    "  deadline=S         kernel: that time (the module's default)\n"
    "  acl, noacl         POSIX ACLs (acl)\n"
    "  followerread       any replica may serve reads (no)\n"
    "  nearread=no        do not prefer near replicas\n"
    "  trash=no           delete for real where the volume has a trash\n"
    "  crc=off            kernel: do not check the data's checksums\n"
    "  fsc                kernel: keep what was read on a local disk (needs cachefilesd)";

}  // namespace

void add_mount(CLI::App& cli, Context& context) {
  CLI::App* const command = add_command(cli, "ADMIN", "mount", "Mount a volume", kExamples);
  auto args = std::make_shared<MountArgs>();
  command->add_option("source", args->source, "VOLUME@MASTER[:PORT][,MASTER...][:/SUBDIR]")
      ->required();
  command->add_option("directory", args->directory, "Where to")->required();
  command->add_option("-o,--options", args->options, "Comma list of options");
  command->add_option("--owner", args->owner, "Owner of the volume");
  command->add_option("--frontend", args->front, "auto, kernel or fuse (auto)");
  command->add_flag("-q,--quiet", args->quiet, "Say nothing when it worked");
  command->callback([args, &context] { context.exit_code = run_mount(context, *args); });
}

/// Source: mount(8), "EXTERNAL HELPERS": mount.TYPE SOURCE DIR [-sfnv] [-N ns] [-o options] [-t
/// type]; exit codes 1 wrong use, 32 failure.
int run_mount_helper(int argc, char** argv, Context& context) {
  constexpr int kHelperUsage = 1;
  constexpr int kHelperFailed = 32;
  set_program_name("mount.cubefs");
  MountArgs args;
  args.quiet = true;
  for (int c = 0; (c = ::getopt(argc, argv, "sfnvN:o:t:")) != -1;) {
    if (c == 'o') args.options.emplace_back(optarg);
    if (c == 'f') args.check_only = true;
    if (c == 'v') args.quiet = false;
    if (c == '?') return kHelperUsage;
  }
  if (argc - optind != 2) {
    report({kUsage, "wrong use", "expected SOURCE DIRECTORY [-o options]", "see mount(8)"});
    return kHelperUsage;
  }
  args.source = argv[optind];
  args.directory = argv[optind + 1];
  const int code = run_mount(context, args);
  if (code == kDone) return kDone;
  return code == kUsage ? kHelperUsage : kHelperFailed;
}

}  // namespace cfs::ctl
