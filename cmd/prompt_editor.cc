#include "prompt_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

#include "base/utf8.h"

namespace mythos {
namespace {

// How soon a wait notices a signal that came just before it, or to another thread.
constexpr int kPatience = 200;  // milliseconds

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
volatile std::sig_atomic_t noted[kSignals.size()];

void note(int signal) {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == signal) noted[i] = 1;
  }
}

// Whether the signal has come since the last call.
bool take(int signal) {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == signal && noted[i]) {
      noted[i] = 0;
      return true;
    }
  }
  return false;
}

// While one lives, signals are noted, so that the terminal is set right before they take effect.
class SignalNotes {
 public:
  SignalNotes() {
    struct sigaction action = {};
    action.sa_handler = note;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < kSignals.size(); ++i) {
      noted[i] = 0;
      sigaction(kSignals[i], &action, &before_[i]);
    }
  }
  ~SignalNotes() {
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }
  SignalNotes(const SignalNotes&) = delete;
  SignalNotes& operator=(const SignalNotes&) = delete;

 private:
  struct sigaction before_[kSignals.size()];
};

bool use_utf8() {
  const auto is_utf8 = [] { return std::string_view(nl_langinfo(CODESET)) == "UTF-8"; };
  return (std::setlocale(LC_CTYPE, "") && is_utf8()) ||
         (std::setlocale(LC_CTYPE, "C.UTF-8") && is_utf8());
}

std::wstring wide(std::string_view text) {
  std::wstring out;
  while (!text.empty()) {
    const int length = utf8_sequence(text);
    const auto size = static_cast<size_t>(length > 0 ? length : 1);
    out += length > 0 ? static_cast<wchar_t>(utf8_code_point(text, length)) : L'\uFFFD';
    text.remove_prefix(size);
  }
  return out;
}

std::string narrow(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) append_code_point(static_cast<char32_t>(c), out);
  return out;
}

// Keys as they work elsewhere; ~/.editrc may bind others.
constexpr const wchar_t* kKeys[][2] = {
    {L"\t", L"ed-insert"},           {L"^R", L"em-inc-search-prev"},
    {L"^W", L"ed-delete-prev-word"}, {L"\\e[1~", L"ed-move-to-beg"},
    {L"\\e[4~", L"ed-move-to-end"},  {L"\\e[3~", L"ed-delete-next-char"},
    {L"\\e[1;5C", L"em-next-word"},  {L"\\e[1;5D", L"ed-prev-word"}};

}  // namespace

struct PromptEditor::Calls {
  static wchar_t* prompt(EditLine*) {
    static wchar_t text[] = L"> ";
    return text;
  }
  static int character(EditLine* editor, wchar_t* to) {
    void* self = nullptr;
    el_wget(editor, EL_CLIENTDATA, &self);
    if (static_cast<PromptEditor*>(self)->next_character(*to)) return 1;
    errno = 0;
    return -1;
  }
};

bool PromptEditor::possible() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && terminal && *terminal &&
         std::string_view(terminal) != "dumb" && use_utf8();
}

PromptEditor::PromptEditor(std::optional<PromptHistory> history) : history_(std::move(history)) {
  use_utf8();
  editor_ = el_init("mythos", stdin, stdout, stderr);
  lines_ = history_winit();
  if (!editor_ || !lines_) throw std::bad_alloc();
  HistEventW event;
  history_w(lines_, &event, H_SETSIZE, static_cast<int>(PromptHistory::kMostLines));
  history_w(lines_, &event, H_SETUNIQUE, 1);
  el_wset(editor_, EL_CLIENTDATA, this);
  el_wset(editor_, EL_PROMPT, Calls::prompt);
  el_wset(editor_, EL_GETCFN, Calls::character);
  el_wset(editor_, EL_HIST, history_w, lines_);
  el_wset(editor_, EL_EDITOR, L"emacs");
  for (const auto& [key, function] : kKeys) {
    el_wset(editor_, EL_BIND, key, function, nullptr);
  }
  // Between two lines the terminal neither edits nor shows what is typed.
  el_wset(editor_, EL_SETTY, L"-x", L"-icanon", L"-echo", nullptr);
  el_source(editor_, nullptr);
  if (!history_) return;
  for (const std::string& line : history_->load()) remember(wide(line));
}

PromptEditor::~PromptEditor() {
  history_wend(lines_);
  el_end(editor_);
}

void PromptEditor::remember(const std::wstring& line) {
  HistEventW event;
  history_w(lines_, &event, H_ENTER, line.c_str());
}

PromptEditor::Event PromptEditor::read(std::string& line) {
  const SignalNotes notes;
  while (true) {
    event_ = Event::line;
    int count = 0;
    const wchar_t* text = el_wgets(editor_, &count);
    if (event_ != Event::line) {
      if (event_ == Event::interrupted && count > 1) continue;  // the line is dropped
      return event_;
    }
    if (text && count > 0) {
      std::wstring typed(text, static_cast<size_t>(count));
      if (typed.ends_with(L'\n')) typed.pop_back();
      line = narrow(typed);
      if (line.find_first_not_of(" \t") == line.npos) return Event::line;
      remember(typed);
      if (history_) history_->add(line);
      return Event::line;
    }
    std::fputs("\n", stdout);
    std::fflush(stdout);
    return Event::ended;
  }
}

bool PromptEditor::next_character(wchar_t& to) {
  pollfd from{STDIN_FILENO, POLLIN, 0};
  while (true) {
    heed_signals();
    if (event_ != Event::line) {
      to = L'\n';  // ends the line, its text shown to the end
      return true;
    }
    if (poll(&from, 1, kPatience) <= 0) continue;
    char byte;
    const ssize_t size = ::read(STDIN_FILENO, &byte, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    pending_ += byte;
    const int length = utf8_sequence(pending_);
    if (length < 0) continue;
    // Bytes that are no UTF-8 are no character.
    to = length > 0 ? static_cast<wchar_t>(utf8_code_point(pending_, length)) : L'\uFFFD';
    pending_.clear();
    return true;
  }
}

void PromptEditor::heed_signals() {
  if (take(SIGTSTP)) {
    el_wset(editor_, EL_PREP_TERM, 0);
    raise(SIGSTOP);
    el_wset(editor_, EL_PREP_TERM, 1);
    el_wset(editor_, EL_REFRESH);
  }
  if (take(SIGWINCH)) {
    el_resize(editor_);
    el_wset(editor_, EL_REFRESH);
  }
  if (take(SIGINT)) event_ = Event::interrupted;
  if (take(SIGTERM)) event_ = Event::terminated;
}

}  // namespace mythos
