// SPDX-License-Identifier: Apache-2.0
/// Loader of recorded traffic; see recordings.h.
#include "tests/golden/recordings.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace cfs::golden {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

[[noreturn]] void fail(const std::string& where, const std::string& why) {
  std::fprintf(stderr, "recordings: %s: %s\n", where.c_str(), why.c_str());
  std::exit(1);
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string from_hex(std::string_view hex, const std::string& where) {
  std::string out;
  if (hex.size() % 2 != 0) fail(where, "odd hex");
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = nibble(hex[i]);
    const int low = nibble(hex[i + 1]);
    if (high < 0 || low < 0) fail(where, "bad hex");
    out.push_back(static_cast<char>(high << 4 | low));
  }
  return out;
}

std::string arg_of(const json& packet, const std::string& where) {
  const std::string arg = packet.value("arg", "");
  return arg.starts_with("hex:") ? from_hex(std::string_view(arg).substr(4), where) : arg;
}

PacketRecord packet_of(const json& line, const fs::path& path, const std::string& where) {
  PacketRecord r;
  const json& p = line.at("packet");
  r.where = where;
  r.folder = path.parent_path().filename();
  r.file = path.filename();
  r.peer = line.at("peer") == "meta" ? wire::Peer::kMeta : wire::Peer::kData;
  r.request = line.at("dir") == "req";
  r.header = from_hex(line.at("raw_hex").get<std::string>(), where);
  r.arg = arg_of(p, where);
  r.data_len = p.value("data_len", size_t{0});
  r.data = p.value("data", "");
  if (p.value("data_kind", "") == "hex") r.data = from_hex(r.data, where);
  r.data_crc = static_cast<uint32_t>(std::stoul(p.value("data_crc32", "0x0"), nullptr, 16));
  r.fields = p;
  return r;
}

std::string path_of(const std::string& target) {
  return target.substr(0, target.find('?'));
}

void add_http(const json& line, const std::string& where, Recordings* out) {
  const json& h = line.at("http");
  HttpRecord r;
  r.where = where;
  if (line.at("dir") == "req") {
    r.path = path_of(h.at("target"));
    r.request_body = h.value("body", "");
  } else {
    r.path = path_of(h.at("for_target"));
    r.status_line = h.at("status_line");
    r.body = h.at("body");
  }
  out->http.push_back(std::move(r));
}

void load_lines(const fs::path& path, Recordings* out) {
  std::ifstream in(path);
  std::string text;
  for (int number = 1; std::getline(in, text); ++number) {
    const std::string where = path.parent_path().filename().string() + "/" +
                              path.filename().string() + ":" + std::to_string(number);
    const json line = json::parse(text, nullptr, false);
    if (line.is_discarded()) fail(where, "not JSON");
    if (line.contains("packet")) out->packets.push_back(packet_of(line, path, where));
    if (line.contains("http")) add_http(line, where, out);
  }
}

/// "GET /admin/getIp?x HTTP/1.1" to "/admin/getIp".
std::string request_path(const std::string& request_line) {
  const size_t from = request_line.find(' ') + 1;
  return path_of(request_line.substr(from, request_line.find(' ', from) - from));
}

void load_exchange(const fs::path& path, Recordings* out) {
  std::ifstream in(path);
  const json e = json::parse(in, nullptr, false);
  if (e.is_discarded()) fail(path, "not JSON");
  HttpRecord r;
  r.where = "http/" + path.filename().string();
  r.path = request_path(e.at("request_line"));
  r.status_line = e.at("status_line");
  r.request_body = e.at("request_body");
  r.body = e.at("response_body");
  out->http.push_back(std::move(r));
}

Recordings load() {
  Recordings out;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(CFS_GOLDEN_DIR)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    if (path.extension() == ".jsonl") load_lines(path, &out);
    if (path.extension() == ".json") load_exchange(path, &out);
  }
  return out;
}

}  // namespace

const Recordings& recordings() {
  static const Recordings all = load();
  return all;
}

}  // namespace cfs::golden
