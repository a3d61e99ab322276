FROM ruby:3.3.5-slim-bookworm@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
RUN useradd --uid 1200 --create-home site
WORKDIR /home/site
ONBUILD COPY --chown=site Gemfile Gemfile.lock ./
ONBUILD RUN bundle config set --local deployment true && bundle install
ONBUILD COPY --chown=site . .
USER site
CMD ["bundle", "exec", "puma"]
