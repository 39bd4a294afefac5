// SPDX-License-Identifier: Apache-2.0
/// Lines of the admin socket; see admin_protocol.h.
#include "daemon/app/admin_protocol.h"

#include <algorithm>

namespace cfs::admin {
namespace {

/// Text from outside may hold any bytes: what is not UTF-8 is replaced, never thrown about.
std::string line_of(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Nesting of a JSON text; copying and destroying values recurses, so the depth is judged first.
int depth_of(const std::string& text) {
  int depth = 0;
  int deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') ++i;
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return deepest;
}

Result<Json> parse_object(const std::string& line) {
  if (depth_of(line) > kDepthMax) return make_error(EPROTO, "the JSON is nested too deeply");
  Json object = Json::parse(line, nullptr, false);
  if (object.is_discarded()) return make_error(EPROTO, "the line is not JSON");
  if (!object.is_object()) return make_error(EPROTO, "the line is not a JSON object");
  const auto version = object.find("v");
  if (version == object.end() || *version != kVersion) {
    return make_error(EPROTO, "protocol version 1 is spoken here");
  }
  return object;
}

}  // namespace

std::string encode(const Command& command) {
  return line_of(Json{{"v", kVersion}, {"cmd", command.name}, {"args", command.args}});
}

Result<Command> decode_command(const std::string& line) {
  auto object = parse_object(line);
  if (!object) return object.error();
  const auto name = object->find("cmd");
  if (name == object->end() || !name->is_string()) return make_error(EPROTO, "cmd is missing");
  Command command{name->get<std::string>(), Json::object()};
  const auto args = object->find("args");
  if (args == object->end()) return command;
  if (!args->is_object()) return make_error(EPROTO, "args is not an object");
  command.args = *args;
  return command;
}

std::string encode(const Result<Json>& answer) {
  if (answer) return line_of(Json{{"v", kVersion}, {"ok", true}, {"data", *answer}});
  const Json error{{"errno", answer.error().code}, {"text", answer.error().what}};
  return line_of(Json{{"v", kVersion}, {"ok", false}, {"error", error}});
}

Result<Json> decode_answer(const std::string& line) {
  auto object = parse_object(line);
  if (!object) return object.error().in("answer of the daemon");
  if (flag_or(*object, "ok", false)) return member_or_empty(*object, "data");
  const Json error = member_or_empty(*object, "error");
  if (!error.is_object()) return make_error(EPROTO, "answer of the daemon has no error");
  return make_error(static_cast<int>(number_or(error, "errno", EIO)),
                    text_or(error, "text", "no reason given"));
}

Result<std::string> text_arg(const Json& args, const char* key) {
  const auto value = args.find(key);
  if (value == args.end() || !value->is_string()) {
    return make_error(EINVAL, std::string("argument '") + key + "' is missing");
  }
  return value->get<std::string>();
}

std::string text_or(const Json& object, const char* key, const std::string& otherwise) {
  const auto value = object.find(key);
  return value != object.end() && value->is_string() ? value->get<std::string>() : otherwise;
}

bool flag_or(const Json& object, const char* key, bool otherwise) {
  const auto value = object.find(key);
  return value != object.end() && value->is_boolean() ? value->get<bool>() : otherwise;
}

std::int64_t number_or(const Json& object, const char* key, std::int64_t otherwise) {
  const auto value = object.find(key);
  return value != object.end() && value->is_number_integer() ? value->get<std::int64_t>()
                                                             : otherwise;
}

Json member_or_empty(const Json& object, const char* key) {
  const auto value = object.find(key);
  return value != object.end() && value->is_structured() ? *value : Json::array();
}

}  // namespace cfs::admin
