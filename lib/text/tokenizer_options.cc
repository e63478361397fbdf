#include "text/tokenizer_options.h"

namespace mythos {

CLI::Option* add_tokenizer_options(CLI::App& app, TokenizerChoice& choice) {
  CLI::Option* tokenizer =
      app.add_option("--tokenizer", choice.path,
                     "SentencePiece .model, tiktoken rank file (FILE or FILE:ENCODING), "
                     "tokenizer.json, tekken.json, or a folder with one of them")
          ->type_name("TOK");
  app.add_option("--bos-token", choice.bos, "Name or id of the token that is BOS")
      ->type_name("TOKEN")
      ->needs(tokenizer);
  app.add_option("--eos-token", choice.eos, "Name or id of the token that is EOS")
      ->type_name("TOKEN")
      ->needs(tokenizer);
  return tokenizer;
}

}  // namespace mythos
