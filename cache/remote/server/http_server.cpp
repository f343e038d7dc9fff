#include "cache/remote/server/http_server.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cache/entry.hpp"
#include "cache/posix/signal_guard.hpp"
#include "cache/remote/server/s3_list_page.hpp"
#include "cache/remote/server/s3_list_url.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast::cache {
namespace {

struct Cleanup {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, Cleanup>;

constexpr std::size_t most_page_bytes = std::size_t{16} << 20U;

/// An answer while it is received.
struct Body {
  std::size_t most = max_entry_bytes;
  std::string bytes = {};
};

std::size_t receive(const char* data, std::size_t size, std::size_t count, void* to) {
  auto& body = *static_cast<Body*>(to);
  if (body.bytes.size() + size * count > body.most) {
    return 0;
  }
  body.bytes.append(data, size * count);
  return size * count;
}

std::size_t send(char* to, std::size_t size, std::size_t count, void* from) {
  auto& left = *static_cast<std::string_view*>(from);
  const std::size_t taken = std::min(left.size(), size * count);
  std::memcpy(to, left.data(), taken);
  left.remove_prefix(taken);
  return taken;
}

struct FreeHeaders {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, FreeHeaders>;

void add(Headers& headers, const std::string& line) {
  if (curl_slist* longer = curl_slist_append(headers.get(), line.c_str()); longer != nullptr) {
    static_cast<void>(headers.release());
    headers.reset(longer);
  }
}

class HttpServer : public RemoteServer {
 public:
  /// Requests go to the address of the options.
  HttpServer(const RemoteOptions& options, Credentials credentials)
      : HttpServer(
            options.timeout,
            fmt::format("{}://{}{}", options.address.scheme() == RemoteScheme::https ? "https" : "http",
                        options.address.authority(), options.address.path())) {
    credentials_ = std::move(credentials);
    query_ = options.address.query();
  }
  /// Requests go to the URL of `signer`, and are signed.
  HttpServer(const RemoteOptions& options, S3Address signer) : HttpServer(options.timeout, signer.url) {
    signer_ = std::move(signer);
  }

  RemoteAnswer get(const std::string& name, const Deadline& deadline) override {
    RemoteAnswer answer;
    request(name, deadline, answer,
            [&](CURL* handle, Headers&) { curl_easy_setopt(handle, CURLOPT_HTTPGET, 1L); });
    return answer;
  }

  RemoteAnswer has(const std::string& name, const Deadline& deadline) override {
    RemoteAnswer answer;
    request(name, deadline, answer,
            [&](CURL* handle, Headers&) { curl_easy_setopt(handle, CURLOPT_NOBODY, 1L); });
    answer.bytes.clear();
    return answer;
  }

  RemoteAnswer put(const std::string& name, std::string_view bytes, const Deadline& deadline) override {
    RemoteAnswer answer;
    const long status = upload(name, bytes, deadline, answer, nullptr);
    answer.state = refuses(status) ? RemoteState::refused : answer.state;
    return answer;
  }

  RemoteAnswer remove(const std::string& name, const Deadline& deadline) override {
    RemoteAnswer answer;
    const long status = request(name, deadline, answer, [&](CURL* handle, Headers&) {
      curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, "DELETE");
    });
    answer.bytes.clear();
    answer.state = refuses(status)                       ? RemoteState::refused
                   : answer.state == RemoteState::absent ? RemoteState::done
                                                         : answer.state;
    return answer;
  }

  RemotePage list(const std::string& prefix, const std::string& place, const Deadline& deadline) override {
    if (!signer_) {
      return {RemoteState::refused, {}, {}, "plain HTTP has no request that lists names"};
    }
    RemoteAnswer answer;
    Body body{most_page_bytes};
    const long status =
        request_url(s3_list_url(*signer_, prefix, place), deadline, answer, body,
                    [](CURL* handle, Headers&) { curl_easy_setopt(handle, CURLOPT_HTTPGET, 1L); });
    if (answer.state != RemoteState::done) {
      const std::string failure = answer.failure.empty() ? fmt::format("HTTP {}", status) : answer.failure;
      return {refuses(status) ? RemoteState::refused : RemoteState::failed, {}, {}, failure};
    }
    return page_of(answer.bytes);
  }

  RemoteAnswer claim(const LeaseClaim& lease, const Deadline& deadline) override {
    if (!lease.take_over && !creates_once_.load()) {
      RemoteAnswer probe = this->probe(deadline);
      if (probe.state != RemoteState::done) {
        return probe;
      }
    }
    return create(lease.name, lease.token, deadline, lease.take_over ? nullptr : only_new);
  }

  RemoteAnswer release(const std::string& name, const std::string& token, const Deadline& deadline) override {
    // HTTP cannot compare and delete at once. A lease that is taken over between the two requests is lost.
    RemoteAnswer answer = get(name, deadline);
    if (answer.state == RemoteState::done && answer.bytes == token) {
      return remove(name, deadline);
    }
    answer.bytes.clear();
    answer.state = answer.state == RemoteState::absent ? RemoteState::done : answer.state;
    return answer;
  }

 private:
  static constexpr const char* only_new = "If-None-Match: *";

  /// True if `status` says that the server does not take such requests. Others may succeed later.
  static bool refuses(long status) {
    const bool later = status == 404 || status == 408 || status == 410 || status == 429;
    return status == 501 || (status >= 400 && status < 500 && !later);
  }

  /// Uploads an object and returns the status of the answer; 0 if there is none. `condition` is a header or
  /// null.
  long upload(const std::string& name, std::string_view bytes, const Deadline& deadline, RemoteAnswer& answer,
              const char* condition) {
    std::string_view left = bytes;
    const long status = request(name, deadline, answer, [&](CURL* handle, Headers& headers) {
      curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
      curl_easy_setopt(handle, CURLOPT_READFUNCTION, send);
      curl_easy_setopt(handle, CURLOPT_READDATA, &left);
      curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(bytes.size()));
      if (condition != nullptr) {
        add(headers, condition);
      }
    });
    answer.bytes.clear();
    if (answer.state == RemoteState::absent) {
      answer.state = RemoteState::failed;
      answer.failure = fmt::format("HTTP {}", status);
    }
    return status;
  }

  /// Uploads a lease. It is taken if the server says so, and refused if the server does not take such
  /// requests.
  RemoteAnswer create(const std::string& name, std::string_view bytes, const Deadline& deadline,
                      const char* condition) {
    RemoteAnswer answer;
    const long status = upload(name, bytes, deadline, answer, condition);
    if (status == 409 || status == 412) {
      return {RemoteState::taken, {}, {}};
    }
    answer.state = refuses(status) ? RemoteState::refused : answer.state;
    return answer;
  }

  /// Creates one object twice, which a server that has leases refuses.
  RemoteAnswer probe(const Deadline& deadline) {
    for (int i = 0; i < 2; ++i) {
      RemoteAnswer answer = create("v1-probe.lease", "probe", deadline, only_new);
      if (answer.state == RemoteState::taken) {
        creates_once_ = true;
        return {RemoteState::done, {}, {}};
      }
      if (answer.state != RemoteState::done) {
        return answer;
      }
    }
    return {RemoteState::refused, {}, "it ignores If-None-Match"};
  }

  HttpServer(std::chrono::milliseconds timeout, std::string url) : url_(std::move(url)), timeout_(timeout) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    ready_ = ready == CURLE_OK;
    while (url_.ends_with('/')) {
      url_.pop_back();
    }
  }

  /// The page in an answer of S3, whose names begin with the prefix of the address.
  [[nodiscard]] RemotePage page_of(const std::string& xml) const {
    RemotePage page;
    std::optional<S3ListPage> listed = parse_s3_list_page(xml, page.failure);
    if (!listed) {
      return page;
    }
    for (const std::string& key : listed->keys) {
      if (!key.starts_with(signer_->prefix)) {
        return {RemoteState::failed, {}, {}, "it lists a name that it was not asked for"};
      }
      page.names.push_back(key.substr(signer_->prefix.size()));
    }
    page.next = std::move(listed->next);
    page.state = RemoteState::done;
    return page;
  }

  /// Sends a request about an object and returns the status of its answer; 0 if there is none.
  template <class SetUp>
  long request(const std::string& name, const Deadline& deadline, RemoteAnswer& answer, SetUp&& set_up) {
    Body body;
    return request_url(url_ + '/' + name + (query_.empty() ? "" : "?") + query_, deadline, answer, body,
                       std::forward<SetUp>(set_up));
  }

  template <class SetUp>
  long request_url(const std::string& url, const Deadline& deadline, RemoteAnswer& answer, Body& body,
                   SetUp&& set_up) {
    // Writing to a connection that the server has closed raises SIGPIPE, which ends a process by default.
    const SignalGuard guard(SIGPIPE);
    Handle handle = take();
    if (handle == nullptr) {
      answer.failure = "libcurl cannot be set up";
      return 0;
    }
    CURL* const curl = handle.get();
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (has_raised_privileges()) {
      curl_easy_setopt(curl, CURLOPT_PROXY, "");  // Otherwise libcurl takes one from the environment.
    }
    // 0 would mean no limit.
    const long left = std::max(1L, static_cast<long>(deadline.left().count()));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, std::min(left, static_cast<long>(timeout_.count())));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left);
    curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT,
                     std::max(1L, static_cast<long>(timeout_.count() / 1000)));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1000L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(timeout_.count() / 1000)));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    Headers headers;
    if (signer_) {
      sign(curl, headers);
    } else if (!credentials_.user.empty() || !credentials_.password.empty()) {
      curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
      curl_easy_setopt(curl, CURLOPT_USERNAME, credentials_.user.c_str());
      curl_easy_setopt(curl, CURLOPT_PASSWORD, credentials_.password.c_str());
    }
    set_up(curl, headers);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    const CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
      answer.failure = code == CURLE_WRITE_ERROR ? "its answer is too long" : curl_easy_strerror(code);
      return 0;
    }
    give_back(std::move(handle));
    if (status >= 200 && status < 300) {
      answer.state = RemoteState::done;
      answer.bytes = std::move(body.bytes);
    } else if (status == 404 || status == 410) {
      answer.state = RemoteState::absent;
    } else {
      answer.failure = fmt::format("HTTP {}", status);
    }
    return status;
  }

  void sign(CURL* curl, Headers& headers) const {
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, signer_->signing.c_str());
    curl_easy_setopt(curl, CURLOPT_USERNAME, signer_->access_key.c_str());
    curl_easy_setopt(curl, CURLOPT_PASSWORD, signer_->secret_key.c_str());
    if (!signer_->session_token.empty()) {
      add(headers, "x-amz-security-token: " + signer_->session_token);
    }
    // The payload is not signed: entries have checksums of their own, which readers verify.
    add(headers, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
  }

  /// A handle, with an open connection if one is idle.
  Handle take() {
    const std::lock_guard lock(mutex_);
    if (!ready_ || idle_.empty()) {
      return Handle(ready_ ? curl_easy_init() : nullptr);
    }
    Handle handle = std::move(idle_.back());
    idle_.pop_back();
    return handle;
  }

  void give_back(Handle handle) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(handle));
  }

  std::string url_;
  std::string query_;
  Credentials credentials_;
  std::chrono::milliseconds timeout_;
  std::optional<S3Address> signer_;
  bool ready_ = false;
  std::atomic<bool> creates_once_{false};  ///< the server is known to honour If-None-Match
  std::mutex mutex_;
  std::vector<Handle> idle_;
};

}  // namespace

std::unique_ptr<RemoteServer> http_server(const RemoteOptions& options, Credentials credentials) {
  return std::make_unique<HttpServer>(options, std::move(credentials));
}

std::unique_ptr<RemoteServer> s3_server(const RemoteOptions& options, S3Address address) {
  return std::make_unique<HttpServer>(options, std::move(address));
}

}  // namespace kerncast::cache
