// SPDX-License-Identifier: Apache-2.0
/// cfsctl report: one archive for a bug report.
///
/// Purpose  Collects what the other commands say, the kernel's and the daemon's last log lines, the
///          module's parameters and the host's versions in DIR.tar.gz. Contents of files are not in
///          it, names only where a log line tells one. Values that could be secrets are replaced:
///          keys, tokens, passwords, whatever they stand in.
/// Lifetime The archive stays with the caller: a new file, mode 0600. The directory it is made from
///          is removed.
/// Failure  What cannot be collected is noted in the archive; exit code 1 when there is none.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kOutputMax = 1 << 20;  ///< bytes kept of one source, from its end

struct Args {
  std::string output;
  bool json = false;
};

/// Keys, tokens and passwords, as options, JSON members or settings.
std::string without_secrets(const std::string& text) {
  static const std::regex bearer(R"re((Bearer|Basic)\s+[A-Za-z0-9+/=._~-]+)re", std::regex::icase);
  static const std::string word =
      R"re((?:access|secret|auth|client|token|ticket|password|passwd|pass)[-_A-Za-z0-9]*)re";
  static const std::string value = R"re((\\"[^"]*\\"|"[^"]*"|'[^']*'|[^\s,;&"\\]+))re";
  static const std::regex setting("(" + word + R"re(\\?["']?[ \t]*[:=][ \t]*))re" + value,
                                  std::regex::icase);
  static const std::regex option("(--" + word + R"re([ \t]+))re" + value, std::regex::icase);
  std::string out = std::regex_replace(text, bearer, "[removed]");
  out = std::regex_replace(out, setting, "$1[removed]");
  return std::regex_replace(out, option, "$1[removed]");
}

/// Standard output and errors of a program, its end if there is much of it.
std::string output_of(const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return std::strerror(errno);
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::alarm(20);  // a hung program is no reason to have no report
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  char chunk[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], chunk, sizeof(chunk))) > 0;) {
    text.append(chunk, static_cast<std::size_t>(n));
    if (text.size() > 2 * kOutputMax) text.erase(0, text.size() - kOutputMax);
  }
  ::close(ends[0]);
  int status = 0;
  if (child > 0) ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) text += arguments[0] + " is not installed\n";
  if (text.size() > kOutputMax) text.erase(0, text.size() - kOutputMax);
  return text;
}

/// A file's end.
std::string file_text(const std::string& path) {
  std::ifstream in(path);
  if (!in) return path + ": " + std::strerror(errno) + "\n";
  if (in.seekg(0, std::ios::end) && in.tellg() > std::streamoff{kOutputMax}) {
    in.seekg(-std::streamoff{kOutputMax}, std::ios::end);
  } else {
    in.clear();
    in.seekg(0);
    in.clear();
  }
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const fs::path& directory, const std::string& name, const std::string& text) {
  std::ofstream(directory / name) << without_secrets(text);
}

void collect_answers(const Context& context, const fs::path& directory) {
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  for (const char* command :
       {"version", "status", "mounts", "requests", "latency", "doctor", "profile"}) {
    put(directory, std::string(command) + ".json",
        output_of({self, "--socket", context.socket, command, "--json"}));
  }
  put(directory, "profile-nodes.json",
      output_of({self, "--socket", context.socket, "profile", "--by", "node", "--json"}));
  const auto mounts = ask_daemon(context.socket, "", admin::kMounts);
  Json all = Json::array();
  if (const auto* value = std::get_if<Json>(&mounts)) {
    for (const Json& mount : admin::member_or_empty(*value, "mounts")) {
      const bool kernel = admin::text_or(mount, "frontend", "") == "kernel";
      const auto stats = ask_daemon(context.socket, "", admin::kStats,
                                    kernel ? Json{{"session", mount["session"]}}
                                           : Json{{"mount_point", mount["mount_point"]}});
      if (const auto* one = std::get_if<Json>(&stats)) all.push_back(*one);
    }
  }
  put(directory, "stats.json", all.dump(2));
}

void collect_host(const Context& context, const fs::path& directory) {
  put(directory, "uname", output_of({"uname", "-a"}));
  put(directory, "os-release", file_text("/etc/os-release"));
  put(directory, "modinfo", output_of({"modinfo", "cubefs"}));
  put(directory, "memory", file_text("/proc/meminfo"));
  put(directory, "pressure", file_text("/proc/pressure/io") + file_text("/proc/pressure/memory"));
  put(directory, "netfs", file_text("/proc/fs/netfs/requests"));
  put(directory, "kernel-log", output_of({"dmesg"}));
  put(directory, "journal", output_of({"journalctl", "-u", "cfsd", "-n", "2000", "--no-pager"}));
  const fs::path log = fs::path(context.socket).parent_path() / "cfsd.log";
  put(directory, "cfsd.log", file_text(log.string()));
}

std::string default_name() {
  const std::time_t now = std::time(nullptr);
  char text[64];
  std::strftime(text, sizeof(text), "cubefs-report-%Y%m%d-%H%M%S.tar.gz", std::localtime(&now));
  return text;
}

int run_report(const Context& context, const Args& args) {
  const std::string output =
      fs::absolute(args.output.empty() ? default_name() : args.output).string();
  // not somebody else's file, nor through a link that waits in /tmp
  const int made =
      ::open(output.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (made < 0) {
    return report({kFailed, "no report", output + ": " + std::strerror(errno),
                   "name a file that does not exist yet with --output"});
  }
  ::close(made);
  std::string place = (fs::temp_directory_path() / "cubefs-report-XXXXXX").string();
  if (::mkdtemp(place.data()) == nullptr) {
    return report({kFailed, "no report", std::strerror(errno), "is there space in " + place + "?"});
  }
  {
    const Progress progress("collecting");
    collect_answers(context, place);
    collect_host(context, place);
  }
  const mode_t former = ::umask(0077);
  const RunResult packed = run_program({"tar", "-czf", output, "-C", place, "."});
  ::umask(former);
  std::error_code ignored;
  fs::remove_all(place, ignored);
  if (packed.status != 0) {
    fs::remove(output, ignored);
    return report({kFailed, "no report", packed.errors, "is " + output + " writable?"});
  }
  if (args.json) {
    print_json(Json{{"archive", output}, {"size_bytes", fs::file_size(output, ignored)}});
  } else {
    std::cout << output
              << "\nSecrets were removed as far as they could be told; look before you send it."
              << std::endl;
  }
  return kDone;
}

}  // namespace

void add_report(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "INSPECT", "report", "One archive for a bug report",
                  "  cfsctl report\n  cfsctl report --output /tmp/report.tar.gz --json");
  auto args = std::make_shared<Args>();
  command->add_option("--output", args->output, "The archive; default: by date, in this directory");
  command->add_flag("--json", args->json, "For programs");
  command->callback([args, &context] { context.exit_code = run_report(context, *args); });
}

}  // namespace cfs::ctl
