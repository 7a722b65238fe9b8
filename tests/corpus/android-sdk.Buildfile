FROM eclipse-temurin:17-jdk-jammy
ENV ANDROID_HOME=/opt/android
ENV PATH=$PATH:$ANDROID_HOME/cmdline-tools/latest/bin:$ANDROID_HOME/platform-tools
ARG CMDLINE_TOOLS=11076708
RUN apt-get update && apt-get install -y curl unzip \
    && mkdir -p $ANDROID_HOME/cmdline-tools \
    && curl -sSLo /tmp/t.zip https://dl.example.com/android/commandlinetools-linux-${CMDLINE_TOOLS}_latest.zip \
    && unzip -q /tmp/t.zip -d $ANDROID_HOME/cmdline-tools \
    && mv $ANDROID_HOME/cmdline-tools/cmdline-tools $ANDROID_HOME/cmdline-tools/latest
RUN yes | sdkmanager --licenses > /dev/null
RUN sdkmanager "platforms;android-34" "build-tools;34.0.0"
WORKDIR /project
CMD ./gradlew assembleDebug
